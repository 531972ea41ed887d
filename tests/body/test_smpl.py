"""Users' SMPL, SMPL-H and SMPL-X files: read without running anything, skinned as smplx does, kept with their terms."""

from __future__ import annotations

import dataclasses
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from core.body.chain import BodyChain, Poses
from core.body.fit import fit_body
from core.body.landmarks import SkinPoints, body_points, skin_points
from core.body.model import BodyModel
from core.body.models import registry
from core.body.models.families import FAMILIES
from core.body.models.free import free_body
from core.body.models.smpl import JOINTS, read_smpl
from core.body.sequence import BodyMotion
from core.body.simplify import simplified
from core.cli.commands import main
from core.errors import CoreError
from core.geometry.so3 import exp, log
from core.synthetic.rendering.scene import room_people
from core.types.body import BodySequence
from core.types.skeleton import COCO17
from tests.synthetic_smpl import hands_and_face, model_arrays, write_npz, write_original

FREE = free_body()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return model_arrays("smpl", pose_dirs=True)


@pytest.fixture(scope="module")
def smplx_arrays() -> dict[str, np.ndarray]:
    """A model with curled fingers and landmarks of the face."""
    arrays = model_arrays("smplx", pose_dirs=True, n_shape=20)
    return arrays | hands_and_face(len(arrays["f"]))


@pytest.fixture(scope="module")
def smpl_file(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    return write_npz(folder / "SMPL_MALE.npz", arrays)


@pytest.fixture(scope="module")
def smpl(smpl_file: Path) -> BodyModel:
    return read_smpl(smpl_file)


def posed(model: BodyModel, rotations: np.ndarray, pelvis_mm: np.ndarray, betas: np.ndarray) -> tuple[Any, ...]:
    """Return vertices, joints and keypoints of poses."""
    rest = model.rest(betas)
    bones = model.transforms(rest.joints_mm, rotations, pelvis_mm)
    vertices, _ = model.skin(rest.vertices_mm, bones)
    return vertices, model.posed_joints(rest.joints_mm, bones), model.posed_keypoints(rest.keypoints_mm, bones)


@pytest.mark.parametrize("family", JOINTS)
def test_a_model_has_joints_and_keypoints_like_the_embedded_body(family: str, folder: Path) -> None:
    """Axes, order of joints and places of keypoints are those that the fit relies on."""
    model = read_smpl(write_npz(folder / f"{family.upper()}_FEMALE.npz", model_arrays(family)))
    assert (model.name, model.family, model.gender) == (f"{family}_female", family, "female")
    assert "commercial" in model.licence and model.keypoints == FREE.keypoints
    rng = np.random.default_rng(1)
    betas, pelvis = rng.normal(0, 1, (2, 10)), rng.normal(0, 500, (2, 3))
    rotations = np.broadcast_to(np.eye(3), (2, len(model.joints), 3, 3)).copy()
    rotations[:, :22] = exp(rng.normal(0, 0.4, (2, 22, 3)))
    _, joints, keypoints = posed(model, rotations, pelvis, betas)
    own = np.tile(np.eye(3), (2, 24, 1, 1))
    own[:, :22] = rotations[:, :22]
    _, free_joints, free_keypoints = posed(FREE, own, pelvis, betas)
    np.testing.assert_allclose(joints[:, :22], free_joints[:, :22], atol=1e-3)
    on_skin = [
        k for k, name in enumerate(model.keypoints) if name.split("_")[-1] in ("nose", "eye", "ear", "toe", "heel")
    ]
    assert len(on_skin) == 11
    np.testing.assert_allclose(keypoints[:, on_skin], free_keypoints[:, on_skin], atol=1e-3)
    assert np.linalg.norm(keypoints - free_keypoints, axis=-1).max() < 40, (
        "limbs: the joint instead of the skin's middle"
    )


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_published_pickles_are_read_like_npz(
    protocol: int, smpl: BodyModel, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Chumpy's arrays and selections, a sparse regressor, texts and arrays of objects beside them."""
    model = read_smpl(write_original(tmp_path / f"basicmodel_m_lbs_10_207_0_v{protocol}.pkl", arrays, protocol))
    assert model.name == smpl.name
    for name in (
        "template_mm",
        "shape_dirs_mm",
        "pose_dirs_mm",
        "joint_dirs_mm",
        "keypoint_dirs_mm",
        "faces",
        "weights",
    ):
        np.testing.assert_array_equal(getattr(model, name), getattr(smpl, name))


def test_pose_blend_shapes_move_the_skin_as_defined(smpl: BodyModel, arrays: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    rotations = exp(rng.normal(0, 0.5, (2, 24, 3)))
    rotations[:, 5] = np.eye(3)
    vertices, joints, _ = posed(smpl, rotations, np.zeros((2, 3)), np.zeros((2, 10)))
    rest_joints = arrays["J_regressor"] @ arrays["v_template"]
    for p in range(2):
        feature = (rotations[p, 1:] - np.eye(3)).ravel()
        rest = arrays["v_template"] + arrays["posedirs"].astype(float) @ feature
        world = [rotations[p, 0]]
        for j in range(1, 24):
            world.append(world[smpl.parents[j]] @ rotations[p, j])
        moved = np.einsum("jab,jvb->jva", np.array(world), rest - rest_joints[:, None]) + joints[p][:, None] / 1000
        expected = np.einsum("vj,jva->va", arrays["weights"], moved)
        np.testing.assert_allclose(vertices[p] / 1000, expected, atol=2e-6)


def test_a_coarser_model_keeps_its_pose_blend_shapes(smpl: BodyModel) -> None:
    coarse = simplified(smpl, 6000)
    assert len(coarse.template_mm) == 6000
    rotations = exp(np.random.default_rng(4).normal(0, 0.3, (1, 24, 3)))
    fine, few = (posed(model, rotations, np.zeros((1, 3)), np.zeros((1, 10)))[0][0] for model in (smpl, coarse))
    assert cKDTree(fine).query(few)[0].max() < 0.01


def test_skinning_equals_smplx(smpl: BodyModel, arrays: dict[str, np.ndarray]) -> None:
    smplx = pytest.importorskip("smplx", reason="the optional package smplx is not installed")
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("smplx.utils")
    rng = np.random.default_rng(3)
    betas, pose, move = rng.normal(0, 1, (2, 10)), rng.normal(0, 0.4, (2, 24, 3)), rng.normal(0, 1, (2, 3))
    reference = smplx.SMPL("", data_struct=utils.Struct(**arrays), dtype=torch.float64, batch_size=2)
    out = reference(
        betas=torch.tensor(betas),
        global_orient=torch.tensor(pose[:, :1]),
        body_pose=torch.tensor(pose[:, 1:]),
        transl=torch.tensor(move),
    )
    pelvis = smpl.rest(betas).joints_mm[:, 0] + 1000 * move
    vertices, joints, _ = posed(smpl, exp(pose), pelvis, betas)
    np.testing.assert_allclose(vertices / 1000, out.vertices.detach().numpy(), atol=2e-6)
    np.testing.assert_allclose(joints / 1000, out.joints.detach().numpy()[:, :24], atol=1e-6)


def bodies_of(model: BodyModel, n_frames: int) -> BodyMotion:
    """Return one person who moves; absent in the first frame."""
    rng, J = np.random.default_rng(6), len(model.joints)
    rotations, pelvis = rng.normal(0, 0.3, (n_frames, 1, J, 3)), rng.normal(0, 900, (n_frames, 1, 3))
    rotations[:, 0, 22:] = log(model.relaxed[22:])
    rotations[0], pelvis[0] = np.nan, np.nan
    bodies = BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=np.arange(n_frames) / 30,
        person_ids=(1,),
        betas=rng.normal(0, 1, (1, 10)),
        rotations_rad=rotations,
        pelvis_mm=pelvis,
    )
    return BodyMotion.of(model, bodies)


def test_hands_at_rest_and_landmarks_come_from_the_file(
    smplx_arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_npz(tmp_path / "SMPLX_NEUTRAL.npz", smplx_arrays)
    model = read_smpl(path)
    assert np.array_equal(model.relaxed[:25], np.tile(np.eye(3), (25, 1, 1)))
    curled = np.concatenate([smplx_arrays["hands_meanl"], smplx_arrays["hands_meanr"]]).reshape(30, 3)
    np.testing.assert_allclose(model.relaxed[25:], exp(curled))
    poses = Poses(np.eye(3)[None], np.zeros((1, 3)), np.zeros((1, 15, 3)))
    np.testing.assert_array_equal(BodyChain.of(model, COCO17.joints).rotations(poses)[0, 25:], model.relaxed[25:])
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path / "bodies")
    kept = registry.load_body_model(registry.keep_body_model(model, path, accepted=True).name)
    np.testing.assert_array_equal(kept.relaxed, model.relaxed)
    motion = bodies_of(kept, 3)
    some = SkinPoints(
        ("tip", "brow"), np.array([[9000] * 3, kept.face_vertices[7]]), np.array([[1, 0, 0], [0.2, 0.3, 0.5]])
    )
    points = body_points(motion, some)
    assert points.names == (*kept.joints, "tip", "brow") and np.isnan(points.xyz_mm[0]).all()
    for t in (1, 2):
        vertices = motion.vertices_mm(t)[0]
        brow = np.array([0.2, 0.3, 0.5]) @ vertices[kept.face_vertices[7]]
        np.testing.assert_allclose(points.xyz_mm[t, 0, -2:], [vertices[9000], brow], atol=1e-3)
        np.testing.assert_allclose(points.xyz_mm[t, 0, :-2], motion.joints_mm(0, slice(t, t + 1))[0], atol=1e-6)
    assert len(simplified(kept, 6000).face_vertices) == 0, "a coarser mesh has other triangles"
    monkeypatch.setitem(sys.modules, "smplx.joint_names", None)
    with pytest.raises(CoreError, match=r"'smplx'.* is not installed.*non-commercial"):
        skin_points(kept)


@pytest.mark.parametrize("family", ["smpl", "smplx"])
def test_landmarks_equal_those_of_smplx(
    family: str, arrays: dict[str, np.ndarray], smplx_arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    smplx = pytest.importorskip("smplx", reason="the optional package smplx is not installed")
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("smplx.utils")
    values = arrays if family == "smpl" else smplx_arrays
    path = write_npz(tmp_path / f"{family.upper()}_NEUTRAL.npz", values)
    model, options = read_smpl(path), {"dtype": torch.float64, "batch_size": 2}
    motion = bodies_of(model, 3)
    skin = skin_points(model)
    assert skin is not None and {"left_heel", "right_small_toe", "nose", "left_index"} < set(skin.names)
    if family == "smpl":
        reference, parts = smplx.SMPL("", data_struct=utils.Struct(**values), **options), {}
    else:
        extra = {f"hands_components{side}": np.zeros((45, 45)) for side in "lr"}
        path = write_npz(tmp_path / "SMPLX_OTHER.npz", values | extra | {"part": np.zeros(1)})
        reference = smplx.SMPLX(str(path), ext="npz", use_pca=False, **options)
        parts = {f"{name}_pose": torch.zeros(2, 3, dtype=torch.float64) for name in ("jaw", "leye", "reye")}
        parts |= {f"{side}_hand_pose": torch.zeros(2, 45, dtype=torch.float64) for side in ("left", "right")}
    bodies = motion.bodies
    pose = torch.tensor(bodies.rotations_rad[1:, 0].astype(float))
    n_body = 23 if family == "smpl" else 21
    out = reference(
        betas=torch.tensor(np.repeat(bodies.betas, 2, 0)),
        global_orient=pose[:, 0],
        body_pose=pose[:, 1 : 1 + n_body].reshape(2, -1),
        transl=torch.tensor((bodies.pelvis_mm[1:, 0] - motion.rest.joints_mm[:, 0]) / 1000),
        **parts,
    )
    points = body_points(motion, skin)
    assert points.xyz_mm.shape[2] == out.joints.shape[1] == len(model.joints) + (21 if family == "smpl" else 72)
    np.testing.assert_allclose(points.xyz_mm[1:, 0] / 1000, out.joints.detach().numpy(), atol=2e-6)


def test_the_fit_works_with_a_users_model(smpl: BodyModel) -> None:
    """The prior's axes carry over: exact poses of the embedded body are found with noise, and no hinge bends back."""
    people = room_people().people
    rotations, pelvis = people.poses(np.arange(60) / 30 + 2.0)
    rest = [np.broadcast_to(x[0], (60, *x.shape[1:])) for x in people.rest[1:]]
    bones = FREE.transforms(rest[0], rotations[:, 0], pelvis[:, 0])
    exact = FREE.posed_keypoints(rest[1], bones)[:, [FREE.keypoints.index(name) for name in COCO17.joints]]
    xyz = exact + np.random.default_rng(0).normal(0, 20 / np.sqrt(3), exact.shape)
    fit = fit_body(smpl, COCO17.joints, xyz, np.arange(60) / 30)
    limbs = [
        j for j, name in enumerate(smpl.joints) if name.split("_")[-1] in ("hip", "knee", "ankle", "elbow", "wrist")
    ]
    error = np.linalg.norm(fit.joints_mm - FREE.posed_joints(rest[0], bones), axis=-1)[:, limbs]
    assert error.mean() < 20
    assert np.degrees(fit.flexion_rad).min() > -5


class Calls:
    """An object whose pickle calls a function."""

    def __reduce__(self) -> Any:
        return os.system, ("touch was_here",)


NO_TRIANGLE = {"lmk_faces_idx": np.array([99_999]), "lmk_bary_coords": np.ones((1, 3)) / 3}


def _with(key: str, change: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda arrays: arrays | {key: change(arrays[key].copy())}


def _set(array: np.ndarray, at: Any, value: float) -> np.ndarray:
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with("v_template", lambda x: Calls()), r"m\.pkl refers to '(posix|nt)\.system'"),
        (_with("v_template", lambda x: x[:-1]), r"m\.pkl: v_template: it has shape \(6889, 3\), expected \(6890, 3\)"),
        (_with("weights", lambda x: x[:, :-1]), r"m\.pkl: it has skinning weights of shape \(6890, 23\)"),
        (_with("weights", lambda x: x * 2), r"m\.pkl: weights: the weights of a vertex do not sum to 1"),
        (_with("shapedirs", lambda x: _set(x, (3, 1, 2), np.nan)), r"m\.pkl: shapedirs: it has values that are not"),
        (_with("shapedirs", lambda x: x[..., 0]), r"m\.pkl: shapedirs: it has shape"),
        (_with("posedirs", lambda x: "text"), r"m\.pkl: posedirs: it is a str, not an array"),
        (_with("f", lambda x: _set(x, (0, 0), 6890)), r"m\.pkl: f: it is not a list of triangles"),
        (_with("f", lambda x: x[:0]), r"m\.pkl: f: it is not a list of triangles"),
        (_with("kintree_table", lambda x: _set(x, (0, 5), 9)), r"m\.pkl: kintree_table: the joints are not a tree"),
        (lambda arrays: {"v_template": 1}, r"m\.pkl: v_template: it is a int, not an array"),
        (lambda arrays: {k: v for k, v in arrays.items() if k != "posedirs"}, r"m\.pkl: it has no array 'posedirs'"),
        (
            lambda arrays: arrays | NO_TRIANGLE,
            r"m\.pkl: lmk_faces_idx: it refers to triangles that the mesh does not have",
        ),
        (lambda arrays: [1, 2], r"m\.pkl: it contains no body model"),
    ],
)
def test_wrong_files_are_refused_with_file_and_place(
    change: Callable[[Any], Any], message: str, arrays: dict[str, np.ndarray], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    thin = arrays | {"posedirs": np.zeros((6890, 3, 207), np.float32)}
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(change(thin), 4))
    with pytest.raises(CoreError, match=message):
        read_smpl(tmp_path / "m.pkl")
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("indptr", lambda x: _set(x.astype(np.int64), -1, 2**40)),  # memory without end
        ("indptr", lambda x: x[::-1].copy()),
        ("indices", lambda x: _set(x, 0, -1)),
        ("indices", lambda x: _set(x, 0, 24)),
        ("_shape", lambda x: (2**31, 2**31)),
        ("data", lambda x: x[:3]),
    ],
)
def test_sparse_matrices_that_lie_are_refused(
    field: str, value: Callable[[Any], Any], arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    from scipy.sparse import csc_matrix

    matrix = csc_matrix(arrays["J_regressor"])
    matrix.__dict__[field] = value(matrix.__dict__[field])
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"J_regressor": matrix}, 2))
    with pytest.raises(CoreError, match=r"m\.pkl: J_regressor: it is damaged"):
        read_smpl(tmp_path / "m.pkl")


def test_objects_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    program = b"}S'v_template'\ncchumpy.ch\nCh\n)\x81q\x01}S'x'\nh\x01sbs."
    (tmp_path / "m.pkl").write_bytes(program)
    with pytest.raises(CoreError, match=r"m\.pkl: v_template: it is a pickledobject, not an array"):
        read_smpl(tmp_path / "m.pkl")


def test_an_archive_from_a_website_is_named_as_such(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "SMPL_python_v.1.1.0.zip", "w") as archive:
        archive.writestr("smpl/models/basicmodel_f.pkl", b"")
    with pytest.raises(CoreError, match=r"SMPL_python_v\.1\.1\.0\.zip: it contains no body model\. .*unpack it"):
        read_smpl(tmp_path / "SMPL_python_v.1.1.0.zip")
    with pytest.raises(CoreError, match="does not exist"):
        read_smpl(tmp_path / "nothing.pkl")


def test_a_model_is_kept_with_its_terms_until_it_is_removed(
    smpl_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path / "bodies")
    model = read_smpl(smpl_file)
    with pytest.raises(CoreError, match="terms of SMPL were not accepted: Non-commercial"):
        registry.keep_body_model(model, smpl_file, accepted=False)
    assert [card.name for card in registry.body_models()] == ["free"]
    card = registry.keep_body_model(model, smpl_file, "Anna", accepted=True)
    assert (card.title, card.source, len(card.sha256)) == ("Anna (SMPL, male)", "SMPL_MALE.npz", 64)
    assert [card.name for card in registry.body_models()] == ["free", "Anna"]
    kept = registry.load_body_model("Anna")
    assert (kept.family, kept.gender, kept.licence) == ("smpl", "male", FAMILIES["smpl"].terms)
    for name in ("pose_dirs_mm", "joint_dirs_mm", "keypoint_template_mm", "parents"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(model, name))
    bodies = BodySequence(
        model="Anna",
        joints=kept.joints,
        time_s=np.zeros(1),
        person_ids=(1,),
        betas=np.zeros((1, 10)),
        rotations_rad=np.zeros((1, 1, 24, 3), np.float32),
        pelvis_mm=np.zeros((1, 1, 3)),
        provenance={"body": {"model": "Anna", "sha256": card.sha256}},
    )
    assert BodyMotion.of(kept, bodies).vertices_mm(0).shape == (1, 6890, 3)
    with pytest.raises(CoreError, match="a file of the body model 'Anna' other than"):
        BodyMotion.of(dataclasses.replace(kept, source_sha256="0" * 64), bodies)
    with pytest.raises(CoreError, match="already a body model 'Anna'"):
        registry.keep_body_model(model, smpl_file, "Anna", accepted=True)
    (tmp_path / "bodies" / "Anna.yaml").write_text("name: Other\nfamily: smpl\n")
    assert "does not describe" in registry.body_models()[1].problem
    with pytest.raises(CoreError, match="does not describe"):
        registry.load_body_model("Anna")
    registry.remove_body_model("Anna")
    assert not list((tmp_path / "bodies").iterdir())
    with pytest.raises(CoreError, match="no body model 'Anna' on this computer"):
        registry.load_body_model("Anna")
    with pytest.raises(CoreError, match="ships with the program"):
        registry.remove_body_model("free")


def test_models_are_added_and_removed_by_the_command_line(
    smpl_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "bodies_folder", lambda: tmp_path / "bodies")
    assert main(["body-models", "--add", str(smpl_file)]) == 1
    assert "were not accepted" in capsys.readouterr().err
    assert main(["body-models", "--add", str(smpl_file), "--accept-licence"]) == 0
    shown = capsys.readouterr().out
    assert "smpl_male" in shown and "https://smpl.is.tue.mpg.de/modellicense.html" in shown
    assert main(["body-models", "--remove", "smpl_male"]) == 0
    assert "smpl_male" not in capsys.readouterr().out
