import flipback
from openfeature.evaluation_context import EvaluationContext
def test_x(project):
    p = project(plan={"on_error": "raise"})
    with flipback.Router.from_config(p.config) as r:
        route = r.route("support")
        @route.variant("v1", version="1")
        def a(x): return x
        @route.variant("v2", version="1")
        def b(x): return -x
        print([route.call(EvaluationContext(f"u{i}"), 1) for i in range(20)])
        print(r.faults(), r)
