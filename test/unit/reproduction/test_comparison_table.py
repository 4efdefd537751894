from dial_core.reproduction.comparison_table import comparison_table

from .recorded_results import summary


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_distinguishes_the_named_object_alone_from_every_object():
    result = summary(*[True] * 8)
    for place, episode in enumerate(result["episodes"]):
        episode |= {"named_moved": True, "other_moved": place > 0}
    result["two_objects"] |= {"named_moved": {"successes": 8, "trials": 8, "rate": 1.0, "interval": [0.6756, 1.0]}}
    del result["two_objects"]["named_alone"]  # as earlier versions wrote it: computed from the episodes
    header, rule, row, *_ = comparison_table({"DIAL": result}, "DIAL", result)
    assert rule.count("---") == len(cells(header)) == len(cells(row))
    shown = dict(zip(cells(header), cells(row), strict=True))
    assert shown["of two objects, the named one in the target"] == "100.0 (8/8)"
    assert shown["the named one alone"] == "12.5 (1/8)"
