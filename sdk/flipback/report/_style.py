"""The style sheet: two schemes by custom properties, and one for paper."""

from collections.abc import Mapping


LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "card": "#f6f7f9",
    "ink": "#16191d",
    "quiet": "#535b66",
    "rule": "#d6dae0",
    "grid": "#e6e9ed",
    "candidate": "#0a58a8",
    "band": "#b9d3ee",
    "control": "#59616b",
    "bad": "#a8320a",
    "bad-band": "#f3c4ae",
    "bad-paper": "#fdf1ec",
    "harm": "#fdf0ea",
    "bound": "#a8320a",
    "idle": "#e3e6ea",
    "shadow": "#d9dce2",
    "canary": "#cfe2f5",
    "watch": "#cdeae3",
    "paused": "#f4e6b5",
    "on-bad": "#ffffff",
    "on-move": "#ffffff",
    "move": "#3b434d",
}
"""Colours on white; blue and vermilion are told apart by every kind of eye."""

DARK: Mapping[str, str] = {
    "paper": "#13161a",
    "card": "#1b1f25",
    "ink": "#eceff3",
    "quiet": "#a5aebb",
    "rule": "#39404a",
    "grid": "#262b32",
    "candidate": "#77b5f3",
    "band": "#234a72",
    "control": "#aab2bd",
    "bad": "#ff9a70",
    "bad-band": "#6e3420",
    "bad-paper": "#2a1b15",
    "harm": "#2b1d18",
    "bound": "#ff9a70",
    "idle": "#2b3038",
    "shadow": "#333943",
    "canary": "#1d3b59",
    "watch": "#17423a",
    "paused": "#4a3f14",
    "on-bad": "#1b0d06",
    "on-move": "#13161a",
    "move": "#c3cad4",
}

TEXT_ON: tuple[tuple[str, str], ...] = (
    *(("ink", ground) for ground in ("paper", "card", "bad-paper", "harm")),
    *(("ink", each) for each in ("idle", "shadow", "canary", "watch", "paused")),
    *(("ink", each) for each in ("bad-band",)),
    *(("quiet", ground) for ground in ("paper", "card", "bad-paper", "harm")),
    *(("bad", ground) for ground in ("paper", "card", "bad-paper", "harm")),
    ("candidate", "paper"),
    ("bound", "harm"),
    ("on-bad", "bad"),
    ("on-move", "move"),
)
"""Which colour text has on which ground."""

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
.eyebrow{margin:0 0 10px;color:var(--quiet);font-size:14px}
.eyebrow b{color:var(--ink)}
h1{margin:0;font-size:clamp(21px,3vw,30px);line-height:1.28;font-weight:650;
max-width:34em;text-wrap:pretty;overflow-wrap:anywhere}
h2{margin:52px 0 6px;padding-top:14px;border-top:1px solid var(--rule);font-size:19px;
line-height:1.3}
h3{margin:30px 0 2px;font-size:16px;line-height:1.35;overflow-wrap:anywhere}
p{margin:0 0 10px;max-width:72ch}
.lead,.said{color:var(--quiet)}
.promise{font-weight:400;color:var(--quiet)}
.quiet,.empty{color:var(--quiet);font-size:14px}
.bad{color:var(--bad);font-weight:600}
a{color:var(--candidate)}
dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));
gap:14px 24px;margin:26px 0 0;padding:0}
dl.facts dt{color:var(--quiet);font-size:13px}
dl.facts dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
dl.facts dd small{display:block;font-weight:400;color:var(--quiet);font-size:13px}
.alert{margin:22px 0 0;padding:10px 14px;border-left:4px solid var(--bad);
background:var(--bad-paper)}
.alert ul{margin:4px 0 0;padding-left:20px}
.plot{margin:6px 4px 14px 52px}
.headroom{padding-top:74px}
.labelled{margin-right:92px}
.axis-title{margin:12px 0 4px;color:var(--quiet);font-size:13px;max-width:none}
.plot>.axis-title{margin-left:-52px}
svg{display:block}
svg.chart{overflow:visible}
svg.small,svg.row{overflow:hidden}
svg text{fill:var(--ink);font-size:12px;font-variant-numeric:tabular-nums}
svg text.middle{text-anchor:middle}
svg text.end{text-anchor:end}
svg text.faint{fill:var(--quiet)}
svg text.strong{font-weight:650;font-size:13px;paint-order:stroke;stroke:var(--paper);
stroke-width:4px}
svg path,svg line{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--grid)}
.axis{stroke:var(--control)}
.neutral{stroke:var(--control);stroke-width:1}
.harm{fill:var(--harm)}
svg path.band{fill:var(--band);stroke:var(--band);stroke-width:1;stroke-linejoin:round}
svg path.band.failed{fill:var(--bad-band);stroke:var(--bad-band)}
.estimate,.offered,.count{stroke:var(--candidate);stroke-width:2;stroke-linejoin:round;
stroke-linecap:round}
.estimate.failed{stroke:var(--bad)}
.count.control{stroke:var(--control)}
svg path.offered-area{fill:var(--band);opacity:.45}
.bound{stroke:var(--bound);stroke-width:1.25;stroke-dasharray:5 3}
svg text.bound-label{fill:var(--bound)}
.step{stroke:var(--control);stroke-dasharray:2 3}
.phase{fill:var(--idle)}.phase.shadow{fill:var(--shadow)}.phase.canary{fill:var(--canary)}
.phase.watch,.phase.finished{fill:var(--watch)}.phase.paused{fill:var(--paused)}
.phase.rolled-back{fill:var(--bad-band)}
svg text.phase-name{font-size:11px}
.move{stroke:var(--move)}.flip{stroke:var(--bad);stroke-width:2}
.move-dot{fill:var(--move)}.flip-dot{fill:var(--bad)}
svg text.move-number{fill:var(--on-move);font-size:10.5px;font-weight:700}
svg text.flip-number{fill:var(--on-bad);font-size:10.5px;font-weight:700}
.whisker{stroke:var(--candidate);stroke-width:2.5}
.dot{fill:var(--candidate)}
.arrow{stroke:var(--candidate);stroke-width:1.5}
.whisker.failed,.arrow.failed{stroke:var(--bad)}.dot.failed{fill:var(--bad)}
.multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(178px,1fr));
column-gap:20px}
figure{margin:0}
.multiple{display:grid;grid-row:span 3;grid-template-rows:subgrid;row-gap:3px;
margin:0 0 16px}
.multiple svg{border-bottom:1px solid var(--rule);border-top:1px solid var(--rule)}
figcaption{font-size:13.5px;overflow-wrap:anywhere;align-self:end}
.multiple figcaption{font-weight:600}
.multiple p{margin:0;font-size:12.5px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(290px,1fr));
gap:8px 40px;margin-top:12px}
.scroll{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;width:100%;font-size:13.5px;
font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);font-size:13px;padding-bottom:6px}
th,td{padding:4px 12px 4px 0;text-align:left;vertical-align:top}
thead th{color:var(--quiet);font-weight:500;font-size:12.5px;vertical-align:bottom;
border-bottom:1px solid var(--rule)}
tbody th{font-weight:500}
.n{text-align:right;white-space:nowrap}
thead .n{white-space:normal}
.whole{white-space:nowrap}
table.forest td:nth-child(2){width:230px;min-width:200px;padding:0 16px 0 0}
table.forest tbody th{white-space:nowrap;max-width:20em;overflow:hidden;
text-overflow:ellipsis;padding-left:12px;position:sticky;left:0;z-index:1;
background:var(--paper)}
table.forest tbody th.group{padding-left:0;padding-top:16px;font-weight:650}
table.forest tbody tr:first-child td{padding-top:16px}
table.forest tr.failed th{color:var(--bad);font-weight:650}
table.forest td:last-child{min-width:9.5em}
table.forest small{display:block;color:var(--quiet);font-weight:400;max-width:30em}
table.ledger td{border-bottom:1px solid var(--grid)}
table.ledger td:nth-child(-n+4){white-space:nowrap}
table.ledger .note{min-width:18em;overflow-wrap:anywhere}
.version{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:12px;
overflow-wrap:anywhere;min-width:9em}
ol.moves{list-style:none;margin:4px 0 0;padding:0}
ol.moves>li{display:grid;grid-template-columns:26px 1fr;gap:10px;padding:6px 0}
.move-no,.flip-no{display:inline-grid;place-items:center;width:22px;height:22px;
border-radius:50%;background:var(--move);color:var(--on-move);font-size:11.5px;
font-weight:700}
.flip-no{background:var(--bad);color:var(--on-bad)}
.note{overflow-wrap:anywhere;white-space:pre-line}
.moves .note,.moves time,ul.found{color:var(--quiet)}
ul.found{margin:2px 0 0;padding-left:18px}
pre{margin:8px 0;padding:12px 14px;background:var(--card);overflow-x:auto;
font-size:12.5px;line-height:1.45;font-family:ui-monospace,"DejaVu Sans Mono",monospace}
footer{padding-bottom:48px;color:var(--quiet);font-size:14px}
footer dt{color:var(--ink);font-weight:600;margin-top:8px}
footer dd{margin:0;max-width:76ch}
@media (min-width:641px){table.forest wbr{display:none}}
@media (max-width:640px){
svg text.odd{display:none}
main,header,footer{padding-left:14px;padding-right:14px}
header{padding-top:20px}
dl.facts{grid-template-columns:1fr 1fr}
.plot{margin-left:48px}.labelled{margin-right:90px}.plot>.axis-title{margin-left:-48px}
table.forest td:nth-child(2){min-width:170px}
table.forest tbody th{max-width:9em;min-width:8.5em;white-space:normal;
overflow-wrap:break-word}
.multiples{grid-template-columns:1fr 1fr;column-gap:14px}
}
"""
_PRINT = """
@page{margin:14mm 12mm}
body{font-size:10.5pt}
header,main,footer{max-width:none;padding-left:0;padding-right:0}
h2{break-after:avoid}h3{break-after:avoid}
.panel,figure,.plot,ol.moves>li,tr{break-inside:avoid}
.panel:has(.multiples){break-inside:auto}
.scroll{overflow:visible}
table{font-size:7pt}th,td{padding-right:6px}thead th,caption{font-size:7pt}
table.forest td:nth-child(2){width:110px;min-width:90px;padding-right:4px}
table.forest td:last-child{min-width:0}
table.forest tbody th{max-width:none;white-space:normal;position:static}
pre{white-space:pre-wrap}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
"""


def style() -> str:
    """Return the style sheet; paper is always light."""
    return (
        f":root{{color-scheme:light dark;{_spelled(LIGHT)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{_spelled(DARK)}}}}}"
        f"{_RULES}@media print{{:root{{color-scheme:light}}{_PRINT}}}"
    )


def _spelled(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())
