from dial_ros.tools.evaluate_ros import main


def test_a_suite_and_single_tasks_exclude_each_other(capsys, tmp_path):
    assert main(["--suite", "in_distribution", "--task", "TrayToPot", "--out", str(tmp_path / "out")]) == 1
    assert "--suite goes with all its tasks" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_scenes_of_training_are_not_evaluated_on(capsys, tmp_path):
    assert main(["--seed", "99999", "--out", str(tmp_path / "out")]) == 1
    assert "seed 99999 is for training; evaluate on seeds from 100000" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
