import sys

import pytest


@pytest.mark.parametrize("script", ["verdicts", "precedence", "precedence_training", "short_targets"])
def test_a_study_that_there_is_not_is_one_line(benchmark, monkeypatch, capsys, script):
    """No study is begun, and those that there are get named."""
    study, module = benchmark("study"), benchmark(script)
    monkeypatch.setattr(study, "RESULTS", None)  # nothing is read or written
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "noize"])
    with pytest.raises(SystemExit) as ended:
        if script == "verdicts":
            study.run_named(script, module.STUDIES, module.measure, module.table)
        else:
            module.main()
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("'noize' is none of: ")
    known = module.TASKS if script == "short_targets" else module.STUDIES
    assert all(name in told.err for name in known)
