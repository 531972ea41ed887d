"""Each protocol on people whose metrics are known, and the table of published and own results."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.errors import CoreError
from core.evaluation.protocols import PROTOCOLS, concatenate_sequences
from core.evaluation.published import OURS, ResultRow, ResultTable, published_results, with_published
from core.evaluation.shelf import to_shelf14
from core.synthetic.people import poses, walkers
from core.types import COCO17, PANOPTIC15, SHELF14, Pose3DSequence, Skeleton
from core.types.skeleton import convert


def sequence(skeleton: Skeleton, xyz_mm: np.ndarray) -> Pose3DSequence:
    return Pose3DSequence(
        skeleton=skeleton,
        time_s=np.arange(len(xyz_mm)) / 25,
        xyz_mm=xyz_mm,
        score=np.isfinite(xyz_mm).all(-1).astype(float),
        person_ids=tuple(range(xyz_mm.shape[1])),
    )


@pytest.fixture
def coco() -> np.ndarray:
    """(4, 2, 17, 3): four frames of two people apart from each other."""
    people = poses(8, np.random.default_rng(0), stature_mm=(1600, 1900)).reshape(4, 2, 17, 3)
    people[:, 1, :, 0] += 3000
    return people


class TestPanoptic:
    def test_coco_joints_are_evaluated_as_panoptic_ones(self, coco: np.ndarray) -> None:
        truth = sequence(PANOPTIC15, convert(coco, np.ones(coco.shape[:-1]), COCO17, PANOPTIC15)[0])
        result = PROTOCOLS["panoptic"](sequence(COCO17, coco + [0, 0, 30.0]), truth, "shifted")
        (row,) = result.rows
        assert row.values == pytest.approx((0, 100, 100, 100, 100, 30), abs=2e-3)
        assert (row.kind, row.method) == (OURS, "shifted")
        assert result.metrics["map"] == pytest.approx(500 / 6, abs=2e-3)
        assert result.metrics["root"]["mpjpe_mm"] == pytest.approx(30)
        assert result.metrics["joints_predicted"] == 100

    def test_other_joints_are_refused(self, coco: np.ndarray) -> None:
        truth = sequence(PANOPTIC15, np.zeros((4, 1, 15, 3)))
        with pytest.raises(CoreError, match="cannot be converted"):
            PROTOCOLS["panoptic"](sequence(SHELF14, np.zeros((4, 1, 14, 3))), truth, "x")

    def test_without_predictions_the_error_is_none(self, coco: np.ndarray) -> None:
        truth = sequence(PANOPTIC15, convert(coco, np.ones(coco.shape[:-1]), COCO17, PANOPTIC15)[0])
        (row,) = PROTOCOLS["panoptic"](sequence(COCO17, np.zeros((4, 0, 17, 3))), truth, "nobody").rows
        assert row.values == (0, 0, 0, 0, 0, None)


class TestActors:
    def test_the_derivation_of_the_head_matters_on_campus(self, coco: np.ndarray) -> None:
        """Golden person: the top is (0, 93.75, 1700) as for Shelf, (0, 150, 1700) plain, the bottom (0, 50, 1500)."""
        for side, x in (("left", 150.0), ("right", -150.0)):
            coco[..., COCO17.index(f"{side}_shoulder"), :] = (x, 0, 1400)
            coco[..., COCO17.index(f"{side}_ear"), :] = (x / 3, 100, 1600)
        coco[..., COCO17.index("nose"), :] = (0, 100, 1600)
        exact = to_shelf14(coco, COCO17)
        # Off by 325.6 and 381.9 mm at one end; half of the head's length of 345.6 mm is allowed on average.
        exact[..., 13, 1] -= 325.6
        result = PROTOCOLS["campus"](sequence(COCO17, coco), sequence(SHELF14, exact), "x")
        assert [row.note for row in result.rows] == ["plain heads, as VoxelPose", "heads as for Shelf, as SelfPose3d"]
        assert [row.values for row in result.rows] == [(90, 90, None, 90), (100, 100, None, 100)]
        assert result.metrics["plain_heads"]["parts"]["head"] == 0
        assert result.metrics["shelf_heads"]["parts"]["head"] == 100

    def test_empty_frames_count_as_missed_and_absent_actors_have_no_value(self, coco: np.ndarray) -> None:
        found = coco.copy()
        found[2:] = np.nan
        result = PROTOCOLS["shelf"](sequence(COCO17, found), sequence(SHELF14, to_shelf14(coco, COCO17)), "half")
        (row,) = result.rows
        assert row.values == (50, 50, None, 50)
        assert result.metrics["recall500"] == 50 and result.metrics["people"] == 8


class TestConcatenation:
    def test_sequences_of_different_sizes_are_evaluated_together(self) -> None:
        few, many = (walkers(n, 5 * n, np.random.default_rng(n), skeleton=PANOPTIC15) for n in (1, 3))
        joined = concatenate_sequences([few, many])
        assert joined.xyz_mm.shape == (20, 3, 15, 3)
        np.testing.assert_array_equal(joined.xyz_mm[5:], many.xyz_mm)
        assert joined.present.sum() == 5 + 45
        shifted = concatenate_sequences(
            [dataclasses.replace(s, xyz_mm=s.xyz_mm + [o, 0, 0]) for s, o in ((few, 10.0), (many, 40.0))]
        )
        (row,) = PROTOCOLS["panoptic"](shifted, joined, "x").rows
        assert row.values[5] == pytest.approx((5 * 10 + 45 * 40) / 50)
        assert concatenate_sequences([few]) is few

    def test_different_skeletons_are_refused(self) -> None:
        a, b = (walkers(1, 2, np.random.default_rng(0), skeleton=s) for s in (PANOPTIC15, COCO17))
        with pytest.raises(CoreError, match="evaluated together"):
            concatenate_sequences([a, b])


class TestTable:
    def test_every_row_has_a_value_for_every_column(self) -> None:
        for name in PROTOCOLS:
            table = published_results(name)
            assert all(len(row.values) == len(table.columns) for row in table.rows)
            assert {row.kind for row in table.rows} == {"3D labels", "no training", "no labels"}
            assert all(any(v is not None for v in row.values) for row in table.rows)

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("panoptic", (55.13, 96.44, 98.46, 98.98, 99.60, 24.47)),
            ("shelf", (97.2, 90.3, 97.9, 95.1)),
            ("campus", (92.5, 82.2, 89.2, 87.9)),
        ],
    )
    def test_rows_of_the_paper(self, name: str, values: tuple[float, ...]) -> None:
        (row,) = (row for row in published_results(name).rows if row.method == "SelfPose3d")
        assert row.values == values and row.kind == "no labels"

    def test_averages_of_actors_are_their_means(self) -> None:
        """Typing errors would show: papers round to a tenth. One average is printed differently and has a note."""
        for name in ("shelf", "campus"):
            for row in published_results(name).rows:
                if None not in row.values and "as printed" not in row.note:
                    *actors, average = row.values
                    assert np.mean(actors) == pytest.approx(average, abs=0.101), (name, row.method)

    def test_the_table_is_aligned(self) -> None:
        rows = (
            ResultRow(kind="no labels", method="A", values=(55.126, None)),
            ResultRow(kind="3D labels", method="Longer", note="run again", values=(100.0, 7.0)),
        )
        ours = ResultRow(kind=OURS, method="baseline", values=(3.0, 24.0))
        table = ResultTable(title="Title", columns=("AP25", "MPJPE mm"), rows=(*rows, ours))
        assert table.lines() == [
            "Title",
            "  supervision  method                AP25  MPJPE mm",
            "  -------------------------------------------------",
            "  no labels    A                    55.13         -",
            "  3D labels    Longer (run again)  100.00      7.00",
            "> here         baseline              3.00     24.00",
        ]

    def test_own_rows_come_last(self) -> None:
        ours = ResultRow(kind=OURS, method="x", values=(1, 2, 3, 4))
        assert with_published("shelf", [ours]).rows == (*published_results("shelf").rows, ours)
