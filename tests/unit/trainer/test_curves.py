"""Curves are there for others at once, and a resumed run goes on where its checkpoint was."""

from pathlib import Path

from tensorboardX.proto.event_pb2 import Event

from service.trainer.curves import Curves, read_curves

_LENGTH, _CHECKSUM = 8, 4


def events(folder: Path) -> list[Event]:
    """TFRecords: a length, its checksum, the data, its checksum."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            size = int.from_bytes(data[at : at + _LENGTH], "little")
            start = at + _LENGTH + _CHECKSUM
            found.append(Event.FromString(data[start : start + size]))
            at = start + size + _CHECKSUM
    return found


def test_a_row_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    with Curves(tmp_path) as curves:
        curves.log(1, {"reward": 1.25, "tokens": 40})
        assert read_curves(tmp_path) == [{"step": 1, "reward": 1.25, "tokens": 40}]


def test_tensorboard_finds_every_point(tmp_path: Path) -> None:
    with Curves(tmp_path) as curves:
        curves.log(1, {"reward": 1.25})
        curves.log(2, {"reward": 1.5})
    points = [(e.step, v.tag, v.simple_value) for e in events(tmp_path) for v in e.summary.value]
    assert points == [(1, "reward", 1.25), (2, "reward", 1.5)]


def test_what_came_after_the_checkpoint_comes_again(tmp_path: Path) -> None:
    with Curves(tmp_path) as broken:
        for step in (1, 2, 3):
            broken.log(step, {"reward": step})
    with Curves(tmp_path, after=2) as resumed:
        resumed.log(3, {"reward": 30})
    assert [row["reward"] for row in read_curves(tmp_path)] == [1, 2, 30]


def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    with Curves(tmp_path) as killed:
        killed.log(1, {"reward": 1})
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "rew')
    assert len(read_curves(tmp_path)) == 1
    with Curves(tmp_path, after=1) as resumed:
        resumed.log(2, {"reward": 2})
    assert [row["step"] for row in read_curves(tmp_path)] == [1, 2]
