"""One page that tells an attempt: what was done, on which evidence, and by whom.

Pure: it reads no clock and no store, and the same data make the same page.
"""

from flipback.report._data import FindingKey, ReportData, key_of
from flipback.report._headline import headline
from flipback.report._page import page


__all__ = ["FindingKey", "ReportData", "headline", "key_of", "page"]
