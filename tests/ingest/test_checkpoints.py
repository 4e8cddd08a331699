from pathlib import Path

import pytest

from ingest.checkpoints import find_checkpoints, step_of
from store.errors import InputError, NotFoundError


def make(folder: Path, *revisions: str) -> Path:
    for revision in revisions:
        (folder / revision).mkdir(parents=True)
        (folder / revision / "config.json").write_text("{}")
    return folder


def found(folder: Path, *revisions: str, every: int | None = None) -> list[tuple[str, int | None]]:
    model = find_checkpoints(str(folder), revisions, None, every)
    return [(c.revision, c.step) for c in model.checkpoints]


@pytest.mark.parametrize(
    ("revision", "step"),
    [
        ("step1000", 1000),
        ("step0", 0),
        ("step_7", 7),
        ("step-7", 7),
        ("checkpoint-500", 500),
        ("global_step1000", 1000),
        ("step1000-tokens4B", 1000),
        ("stage1-step1000-tokens5B", 1000),
        ("stage2-ingredient3-step11931-tokens50B", 11931),
        ("stage3-step7-tokens1.5T", 7),
        ("main", None),
        ("stage1", None),
        ("stage1-tokens5B", None),
        ("tokens5B-step1", None),
        ("step1-tokens", None),
        ("step", None),
        ("step--7", None),
        ("step1.5", None),
        ("steps10", None),
        ("step10-ema", None),
        ("my-step10", None),
        ("10", None),
    ],
)
def test_steps_are_read_from_names(revision: str, step: int | None) -> None:
    assert step_of(revision) == step


def test_a_folder_with_a_config_is_revision_main(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", ".", "step5")
    model = find_checkpoints(str(folder), (), None)
    assert (model.name, model.source) == ("tiny", str(folder.resolve()))
    assert [(c.revision, c.step, c.folder) for c in model.checkpoints] == [("main", None, folder)]
    assert found(folder, "main") == [("main", None)]


def test_subfolders_are_revisions_and_the_highest_step_is_the_default(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", "step9", "step10", "step100", "zeta", "step2")
    (folder / "step1000").mkdir()
    assert found(folder) == [("step100", 100)]
    assert found(folder, "step9", "zeta") == [("step9", 9), ("zeta", None)]
    assert found(folder, "step10", "step9", "step10") == [("step10", 10), ("step9", 9)]


def test_all_steps_of_a_folder_and_those_that_a_number_divides(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", "step9", "step10", "checkpoint-100", "zeta", "step0")
    steps = [("step0", 0), ("step9", 9), ("step10", 10), ("checkpoint-100", 100)]
    assert found(folder, "all") == steps
    assert found(folder, "zeta", "all", "step9") == [("zeta", None), *steps]
    assert found(folder, "all", every=10) == [steps[0], *steps[2:]]
    assert found(folder, "step9", "all", every=10) == [steps[1], steps[0], *steps[2:]]
    with pytest.raises(InputError, match=r"--every 10 needs --revision all; leave it out, or add"):
        found(folder, "step9", every=10)
    with pytest.raises(InputError, match=r"--every 10 needs --revision all"):
        found(folder, every=10)


def test_all_without_a_step_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", *(f"r{i:02}" for i in range(12)))
    names = ", ".join(f"r{i:02}" for i in range(10))
    with pytest.raises(NotFoundError, match=rf"finds none; it has {names} and 2 more\."):
        found(folder, "all")
    (tmp_path / "odd" / "step7").mkdir(parents=True)
    (tmp_path / "odd" / "step7" / "config.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"odd has no step that 10 divides; give another"):
        found(tmp_path / "odd", "all", every=10)


def test_stages_with_the_same_step_are_two_revisions(tmp_path: Path) -> None:
    names = ["stage1-step1000-tokens5B", "stage2-step1000-tokens3B", "stage1-step500-tokens2B"]
    folder = make(tmp_path / "tiny", *names, "main")
    steps = [(names[2], 500), (names[0], 1000), (names[1], 1000)]
    assert found(folder, "all") == steps
    assert found(folder, "all", every=1000) == steps[1:]
    with pytest.raises(InputError, match=r"-tokens3B, main, of which 2 are of step 1000; choose"):
        found(folder)


def test_subfolders_without_steps_are_not_chosen_from(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", "a", "c", "b")
    with pytest.raises(InputError) as caught:
        found(folder)
    assert str(caught.value) == (
        f"{folder} has the revisions a, b, c, of which none is named after a step; choose with "
        "--revision."
    )
    assert found(folder, "b") == [("b", None)]
    assert found(make(tmp_path / "one", "only")) == [("only", None)]


def test_a_name_of_ones_own_and_odd_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "tiny", "step1")
    assert find_checkpoints(str(folder), (), "mine").name == "mine"
    monkeypatch.chdir(folder)
    assert find_checkpoints(".", (), None).name == "tiny"
    assert find_checkpoints("step1/", (), None).name == "step1"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_checkpoints("~/tiny", (), None).source == str(folder.resolve())


def test_a_revision_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    folder = make(tmp_path / "tiny", "step10", "step9")
    with pytest.raises(NotFoundError, match=r"no revision 'step8'; it has step9, step10\."):
        found(folder, "step9", "step8")
    with pytest.raises(NotFoundError, match=r"no revision 'step8'; it has main\."):
        found(make(tmp_path / "plain", "."), "step8")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no folder '.*none'"):
        found(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotFoundError, match=r"There is no folder '.*file'"):
        found(tmp_path / "file")
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(InputError, match=r"empty holds no model: neither it nor a subfolder"):
        found(tmp_path / "empty")
