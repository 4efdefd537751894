from dial_ros.node.fault_log import FaultLog


def test_a_single_fault_is_an_info_and_a_rate_of_them_a_warning():
    log = FaultLog()
    logged = [log.note("image", "no frame", now_s) for now_s in (10.0, 10.1, 10.2, 10.3)]
    assert logged == [("info", "no frame"), None, ("warning", "no frame (2 times since the last such line)"), None]


def test_faults_that_are_far_apart_never_become_a_warning():
    log = FaultLog()
    severities = {logged[0] for now_s in range(0, 100, 6) if (logged := log.note("image", "no frame", float(now_s))) is not None}
    assert severities == {"info"}


def test_kinds_are_counted_apart():
    log = FaultLog()
    assert all(log.note(kind, "why", 0.0) == ("info", "why") for kind in ("image", "joints", "foresight"))


def test_a_lasting_fault_is_repeated_every_five_seconds_with_its_count():
    log = FaultLog()
    logged = [line for step in range(110) if (line := log.note("image", "no frame", 0.1 * step))]
    assert [severity for severity, _ in logged] == ["info", "warning", "warning", "warning"][: len(logged)]
    assert sum(1 if "times" not in text else int(text.split("(")[1].split()[0]) for _, text in logged) > 90


def test_a_grave_fault_is_an_error_at_once():
    assert FaultLog().note("weights", "NaN", 0.0, grave=True) == ("error", "NaN")
