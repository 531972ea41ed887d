"""Exported bodies read back with independent readers: joints, surfaces, times, and people who come and go."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core.body.model import BODY_TO_WORLD, BodyModel
from core.body.models.free import free_body
from core.body.models.smpl import JOINTS
from core.body.sequence import BodyMotion
from core.errors import CoreError
from core.export import (
    EXPORTERS,
    ExportedResult,
    Origin,
    default_formats,
    resolve_options,
    suitable_formats,
    write_result,
)
from core.export.bodies import quaternions, strongest_bones
from core.export.correctives import correctives
from core.geometry.so3 import exp, log
from core.types import COCO17, BodySequence, Pose3DSequence

T, FPS = 9, 50.0
PEOPLE = (3, 11)
ALL = {"points", "rotations", "mesh"}
BODY_FORMATS = tuple(name for name in suitable_formats(ALL) if EXPORTERS.get(name).needs != ("points",))
CLOSE_MM = 0.1


@pytest.fixture(scope="module")
def result() -> ExportedResult:
    return example(free_body())


@pytest.fixture(scope="module", params=["skinning only", "pose blend shapes"])
def any_surface(request: pytest.FixtureRequest, result: ExportedResult) -> ExportedResult:
    """The same people, also with bodies whose surface changes with the pose as that of SMPL does."""
    if request.param == "skinning only":
        return result
    free = free_body()
    shape = (9 * (len(free.joints) - 1), *free.template_mm.shape)
    dirs = np.random.default_rng(7).normal(0, 3, shape).astype(np.float32)
    return example(dataclasses.replace(free, name="bending", family="smpl", licence="Not for sale.", pose_dirs_mm=dirs))


def example(model: BodyModel) -> ExportedResult:
    """Two people who turn and wave; the second is absent at the start and for two frames."""
    rng = np.random.default_rng(4)
    time_s = 0.5 + np.arange(T) / FPS
    rotations = rng.normal(0, 0.5, (1, 2, 24, 3)) * np.sin(
        9 * time_s[:, None, None, None] + rng.uniform(0, 6, (2, 24, 3))
    )
    turn = np.zeros((T, 2, 3))
    turn[..., 2] = 0.9 * np.arange(T)[:, None]  # more than a whole turn
    rotations[:, :, 0] = log(exp(turn) @ BODY_TO_WORLD @ exp(rotations[:, :, 0]))
    pelvis = rng.normal(0, 900, (1, 2, 3)) + [0, 0, 950] + np.cumsum(rng.normal(0, 9, (T, 2, 3)), 0)
    for gap in (0, slice(4, 6)):
        rotations[gap, 1], pelvis[gap, 1] = np.nan, np.nan
    bodies = BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=time_s,
        person_ids=PEOPLE,
        betas=rng.normal(0, 1, (2, model.n_shape)),
        rotations_rad=rotations,
        pelvis_mm=pelvis,
    )
    xyz = np.repeat(pelvis[:, :, None], len(COCO17), 2)
    poses = Pose3DSequence(
        skeleton=COCO17,
        time_s=time_s,
        xyz_mm=xyz,
        score=np.isfinite(xyz[..., 0]).astype(float),
        person_ids=PEOPLE,
    )
    origin = Origin(take="walk", poses="baseline", rig="0123456789abcdef", version="selfpose-studio 9.9")
    return ExportedResult(poses=poses, origin=origin, motion=BodyMotion.of(model, bodies))


def write(name: str, result: ExportedResult, folder: Path, **choices: str) -> list[Path]:
    options = resolve_options(EXPORTERS.get(name), **choices)  # type: ignore[arg-type]
    return write_result(name, result, folder / "out" / "walk_baseline", options)


def y_up(xyz: np.ndarray) -> np.ndarray:
    return np.stack([xyz[..., 0], xyz[..., 2], -xyz[..., 1]], -1)


def true_joints(result: ExportedResult, person: int) -> np.ndarray:
    """Return the joints (T, J, 3) in mm, z up, NaN where absent."""
    return result.bodies.joints_mm(person, slice(0, T))


def held_joints(result: ExportedResult, person: int) -> np.ndarray:
    """Return the joints with the last pose where absent, or the first one before it."""
    joints = true_joints(result, person)
    for t in range(T):
        if np.isnan(joints[t]).any():
            known = [s for s in range(T) if np.isfinite(joints[s]).all()]
            joints[t] = joints[max((s for s in known if s < t), default=known[0])]
    return joints


@pytest.mark.parametrize("name", BODY_FORMATS)
def test_contract(name: str, result: ExportedResult, tmp_path: Path) -> None:
    exporter = EXPORTERS.get(name)
    if reason := exporter.unavailable():
        pytest.skip(reason)
    options = resolve_options(exporter)
    sentence = exporter.describe(options)
    assert sentence.endswith(".") and (f"in {options.units} " in sentence or "degrees" in sentence)
    files = write(name, result, tmp_path)
    assert files and all(f.relative_to(tmp_path / "out").parts[0].startswith("walk_baseline") for f in files)
    assert sorted(files) == sorted(f for f in (tmp_path / "out").rglob("*") if f.is_file()), "no other file is left"
    without = ExportedResult(poses=result.poses, origin=result.origin)
    with pytest.raises(CoreError, match="which these 3D poses do not have") as refused:
        write(name, without, tmp_path)
    assert "fit-body" in refused.value.hint
    assert name not in suitable_formats({"points"}) and "glb" in default_formats(ALL)


def test_quaternions_of_one_sign_across_blocks() -> None:
    turns = np.linspace(0, 25, 60)[:, None, None] * [0.6, 0.0, 0.8]
    rotations = log(exp(turns))
    q = quaternions(rotations)
    np.testing.assert_allclose(Rotation.from_quat(q[:, 0]).as_matrix(), exp(turns)[:, 0], atol=1e-9)
    assert ((q[1:] * q[:-1]).sum(-1) > 0).all()
    np.testing.assert_array_equal(quaternions(rotations[30:], q[29]), q[30:])


def test_four_bones_of_a_vertex_that_more_or_fewer_move() -> None:
    bones, kept = strongest_bones(np.array([[0, 1, 0, 0, 0], [0.1, 0.2, 0.3, 0.15, 0.25]], np.float32))
    assert bones.tolist() == [[1, 0, 0, 0], [2, 4, 1, 3]]
    np.testing.assert_allclose(kept, [[1, 0, 0, 0], np.array([0.3, 0.25, 0.2, 0.15]) / 0.9], atol=1e-6)
    bones, kept = strongest_bones(np.array([[0.5, 0.5]], np.float32))
    assert bones.tolist() == [[0, 1, 0, 0]] and kept.tolist() == [[0.5, 0.5, 0, 0]]


class Gltf:
    """Minimal player of a glTF file: what the specification says, on accessors that pygltflib describes."""

    def __init__(self, path: Path) -> None:
        from pygltflib import GLTF2

        self.file = GLTF2().load(str(path))
        self.blob = self.file.binary_blob()

    def read(self, index: int) -> np.ndarray:
        accessor = self.file.accessors[index]
        view = self.file.bufferViews[accessor.bufferView]
        dtype = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}[accessor.componentType]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor.type]
        values = np.frombuffer(self.blob, dtype, accessor.count * width, view.byteOffset)
        return values.reshape(accessor.count, width) if width > 1 else values

    def node(self, name: str) -> int:
        (found,) = [i for i, node in enumerate(self.file.nodes) if node.name == name]
        return found

    def matrices(self, time_s: float) -> dict[int, np.ndarray]:
        """Return the world transform of every node at a time."""
        local = {
            i: {"translation": n.translation or [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1], "weights": []}
            for i, n in enumerate(self.file.nodes)
        }
        (animation,) = self.file.animations
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times = self.read(sampler.input)
            values = self.read(sampler.output).reshape(len(times), -1)  # Weights are stored frame by frame.
            if sampler.interpolation == "STEP":
                value = values[max(np.searchsorted(times, time_s, side="right") - 1, 0)]
            else:
                value = np.array([np.interp(time_s, times, column) for column in values.T])
            local[channel.target.node][channel.target.path] = value
        self.weights = {i: of["weights"] for i, of in local.items()}
        world = {}

        def visit(index: int, parent: np.ndarray) -> None:
            matrix = np.eye(4)
            of = local[index]
            matrix[:3, :3] = Rotation.from_quat(of["rotation"]).as_matrix() * of["scale"]
            matrix[:3, 3] = of["translation"]
            world[index] = parent @ matrix
            for child in self.file.nodes[index].children or []:
                visit(child, world[index])

        for root in self.file.scenes[0].nodes:
            visit(root, np.eye(4))
        return world


def test_glb(any_surface: ExportedResult, tmp_path: Path) -> None:
    result = any_surface
    (path,) = write("glb", result, tmp_path)
    gltf, motion = Gltf(path), result.bodies
    assert gltf.file.asset.extras["origin"]["rig"] == result.origin.rig
    assert gltf.file.asset.extras["body"]["model"] == motion.model.name
    names = [gltf.file.nodes[i].name for i in gltf.file.scenes[0].nodes]
    assert names == ["P3", "P3_body", "P11", "P11_body"], "skinned meshes are roots of the scene"
    for t, time_s in enumerate(np.float32(result.poses.time_s)):
        world, vertices = gltf.matrices(time_s), motion.vertices_mm(t)
        for person, label in enumerate(("P3", "P11")):
            node = gltf.file.nodes[gltf.node(f"{label}_body")]
            skin = gltf.file.skins[node.skin]
            assert [gltf.file.nodes[j].name for j in skin.joints] == list(motion.model.joints)
            joints = np.stack([world[j] for j in skin.joints])
            truth = true_joints(result, person)[t]
            if np.isnan(truth).any():
                assert np.ptp(joints[:, :3, 3], axis=0).max() < 1e-4, "hidden"
                continue
            assert np.abs(joints[:, :3, 3] * 1000 - y_up(truth)).max() < CLOSE_MM
            primitive = gltf.file.meshes[node.mesh].primitives[0]
            mesh, vertices_at_rest = primitive.attributes, gltf.read(primitive.attributes.POSITION)
            weights_of_shapes = gltf.weights[gltf.node(f"{label}_body")]
            for target, weight in zip(primitive.targets or [], weights_of_shapes, strict=True):
                vertices_at_rest = vertices_at_rest + weight * gltf.read(target["POSITION"])
            bind = gltf.read(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
            weights, bones = gltf.read(mesh.WEIGHTS_0), gltf.read(mesh.JOINTS_0)
            moved = np.einsum("vk,vkij->vij", weights, (joints @ bind)[bones])
            at = np.einsum("vij,vj->vi", moved[:, :3, :3], vertices_at_rest) + moved[:, :3, 3]
            surface = vertices[motion.people(t).tolist().index(person)]
            assert np.abs(at * 1000 - y_up(surface)).max() < CLOSE_MM
    for sampler in gltf.file.animations[0].samplers:
        values = gltf.read(sampler.output)
        if values.shape[1:] == (4,):
            assert ((values[1:] * values[:-1]).sum(1) > 0).all(), "one sign"


def test_few_blend_shapes_say_what_the_poses_of_a_take_need(any_surface: ExportedResult) -> None:
    found = correctives(any_surface.bodies)
    notes = [note for note in EXPORTERS.get("glb").notes(any_surface) if "surface" in note.lower()]
    if any_surface.bodies.model.pose_dirs_mm is None:
        assert not found.names and found.left_mm == found.skinning_mm == 0 and not notes
        return
    motion = any_surface.bodies
    poses = int(motion.bodies.present.sum())
    assert len(found.names) <= poses < found.mixing.shape[0]
    weights = [found.weights(motion.bodies.rotations_rad[motion.bodies.present[:, p], p]) for p in range(2)]
    assert np.abs(np.concatenate(weights)).max() == pytest.approx(1, abs=1e-5)
    assert found.left_mm < CLOSE_MM < 10 < found.skinning_mm
    assert notes == [
        f"The surface of 'bending' bodies changes with the pose: GLB has it as {len(found.names)} blend shapes. "
        f"Programs that ignore them are up to {found.skinning_mm:.1f} mm off."
    ]


def test_another_reader_finds_closed_bodies_with_normals_in_glb(result: ExportedResult, tmp_path: Path) -> None:
    import trimesh

    (path,) = write("glb", result, tmp_path)
    meshes = trimesh.load_scene(path, process=False).geometry.values()
    assert len(meshes) == 2
    for mesh, vertices in zip(meshes, result.bodies.rest.vertices_mm, strict=True):
        np.testing.assert_allclose(mesh.vertices * 1000, vertices, atol=1e-3)
        assert 0.02 < mesh.volume < 0.2, "m³, and faces look outwards"
        normals = mesh.vertex_normals
        assert (
            np.mean((normals * trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).vertex_normals).sum(1)) > 0.99
        )


@pytest.mark.filterwarnings("ignore:Importing PyGLM:PendingDeprecationWarning")
def test_bvh(result: ExportedResult, tmp_path: Path) -> None:
    import bvhio

    files = write("bvh", result, tmp_path)
    assert [f.name for f in files] == ["walk_baseline_P3.bvh", "walk_baseline_P11.bvh"]
    for person, path in enumerate(files):
        assert "CHANNELS 3 Zrotation Xrotation Yrotation" in path.read_text()
        parsed = bvhio.readAsBvh(str(path))
        assert parsed.FrameCount == T + 1 and parsed.FrameTime == pytest.approx(1 / FPS)
        root = bvhio.readAsHierarchy(str(path))
        model = result.bodies.model
        rest = result.bodies.rest.joints_mm[person]
        for t, truth in enumerate([rest - rest[0], *y_up(held_joints(result, person))]):
            root.loadPose(t)
            found = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
            at = np.stack([found[name] for name in model.joints]) * 10
            if t == 0:
                at -= at[0]
            assert np.abs(at - truth).max() < CLOSE_MM
        angles = np.array([line.split()[3:] for line in path.read_text().splitlines()[-T:]], float)
        assert np.abs(np.diff(angles, axis=0)).max() < 180, "no jumps by a turn"
    (note,) = EXPORTERS.get("bvh").notes(result)
    assert note == "P11 is absent from some frames: in BVH they keep the last pose there."


def test_amass_as_the_blender_add_on_and_retargeters_read_it(result: ExportedResult, tmp_path: Path) -> None:
    files = write("amass", result, tmp_path)
    assert [f.name for f in files] == ["walk_baseline_P3.npz", "walk_baseline_P11.npz"]
    model = result.bodies.model
    for person, path in enumerate(files):
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        assert all(np.isfinite(a).all() for a in arrays.values() if a.dtype.kind == "f")
        # What the SMPL-X add-on reads.
        assert int(arrays["mocap_framerate"]) == 50 and str(arrays["gender"]) == "neutral"
        poses = arrays["poses"][3].reshape(-1, 3)
        assert arrays["poses"].shape == (T, 165) and poses.shape == (55, 3)
        # What retargeters read.
        assert arrays["mocap_frame_rate"].item() == 50
        whole = np.concatenate([arrays[f"{p}"] for p in ("root_orient", "pose_body", "pose_jaw", "pose_eye")], 1)
        np.testing.assert_array_equal(np.concatenate([whole, arrays["pose_hand"]], 1), arrays["poses"])
        assert arrays["betas"].tolist() == [0] * 16 and str(arrays["surface_model_type"]) == "smplx"
        assert str(arrays["body_model"]) == "free"
        np.testing.assert_array_equal(arrays["present"], np.isfinite(result.bodies.bodies.pelvis_mm[:, person, 0]))
        # SMPL-X's pelvis in the T pose plus `trans` is the pelvis; joints of the body follow in the order of SMPL.
        pelvis = arrays["trans"] * 1000 + [3.1, -351.4, 12.0]
        local = Rotation.from_rotvec(arrays["poses"].reshape(-1, 3)).as_matrix().reshape(T, 55, 3, 3)[:, :22]
        rest = result.bodies.rest.joints_mm[person]
        at, turned = [pelvis], [local[:, 0]]
        for joint in range(1, 22):
            parent = model.parents[joint]
            at.append(at[parent] + turned[parent] @ (rest[joint] - rest[parent]))
            turned.append(turned[parent] @ local[:, joint])
        assert np.abs(np.stack(at, 1) - held_joints(result, person)[:, :22]).max() < CLOSE_MM
    notes = EXPORTERS.get("amass").notes(result)
    assert "'present' is false" in notes[0] and "'free', not of SMPL-X" in notes[1]


def test_bodies_of_smplx_keep_their_shape_and_terms(result: ExportedResult, tmp_path: Path) -> None:
    model = dataclasses.replace(
        result.bodies.model,
        name="mine",
        family="smplx",
        gender="female",
        licence="Not for sale.",
        joints=JOINTS["smplx"][:24],
    )
    bodies = dataclasses.replace(result.bodies.bodies, model=model.name, joints=model.joints)
    licensed = dataclasses.replace(result, motion=BodyMotion.of(model, bodies))
    path = write("amass", licensed, tmp_path)[0]
    with np.load(path, allow_pickle=False) as data:
        np.testing.assert_array_equal(data["betas"][:10], bodies.betas[0])
        assert str(data["gender"]) == "female" and str(data["body_terms"]) == "Not for sale."
        pelvis = data["trans"] * 1000 + licensed.bodies.rest.joints_mm[0, 0]
        assert np.abs(pelvis - bodies.pelvis_mm[:, 0]).max() < CLOSE_MM
    assert not any("not of SMPL-X" in note for note in EXPORTERS.get("amass").notes(licensed))
    for name in ("glb", "usd", "obj"):
        assert "Meshes have the shape of the body model 'mine': Not for sale." in EXPORTERS.get(name).notes(licensed)


@pytest.mark.parametrize(("form", "up", "units"), [("obj", "y", "m"), ("ply", "z", "cm")])
def test_sequences_of_surfaces(form: str, up: str, units: str, result: ExportedResult, tmp_path: Path) -> None:
    import trimesh

    files = write(form, result, tmp_path, up=up, units=units)
    assert [f.name for f in files] == [*(f"{t:06d}.{form}" for t in range(T)), "origin.json"]
    motion = result.bodies
    for t in (0, 4, 6):
        mesh = trimesh.load(files[t], process=False, group_material=False, split_object=False, maintain_order=True)
        vertices = np.concatenate(motion.vertices_mm(t))
        expected = vertices if up == "z" else y_up(vertices)
        assert np.abs(mesh.vertices * {"m": 1000, "cm": 10}[units] - expected).max() < CLOSE_MM
        people = motion.people(t)
        assert len(mesh.faces) == len(people) * len(motion.model.faces)
        assert mesh.volume > 0, "faces look outwards"
        if form == "ply":
            ids = mesh.metadata["_ply_raw"]["vertex"]["data"]["person"]
            assert set(ids.ravel().tolist()) == {PEOPLE[p] for p in people}
        else:
            objects = [line for line in files[t].read_text().splitlines() if line.startswith("o ")]
            assert objects == [f"o P{PEOPLE[p]}" for p in people]
    assert json.loads(files[-1].read_text())["time_s"] == pytest.approx(result.poses.time_s)
    assert write(form, result, tmp_path, up=up, units=units) == files, "a second export replaces the first"
    assert form not in default_formats(ALL), "large files are written on request only"


def test_c3d_segments(result: ExportedResult, tmp_path: Path) -> None:
    import ezc3d

    (path,) = write("segments", result, tmp_path)
    file = ezc3d.c3d(str(path))
    names = file["parameters"]["ROTATION"]["LABELS"]["value"]
    assert names == [f"P{i}:{joint}" for i in PEOPLE for joint in result.bodies.model.joints]
    assert file["parameters"]["ROTATION"]["RATE"]["value"] == [FPS]
    assert file["parameters"]["POINT"]["UNITS"]["value"] == ["mm"]
    matrices = file["data"]["rotations"].transpose(3, 2, 0, 1).reshape(T, 2, -1, 4, 4)
    for t in range(T):
        here = result.bodies.people(t)
        bones = result.bodies.bones(t)
        joints = np.stack([true_joints(result, p)[t] for p in here])
        # The format stores 24 bits: 3e-5 mm up to a metre.
        np.testing.assert_allclose(matrices[t, here, :, :3, 3], joints, rtol=2.0**-24, atol=3e-5)
        np.testing.assert_allclose(matrices[t, here, :, :3, :3], bones.R, atol=1e-6)
        absent = np.setdiff1d([0, 1], here)
        assert np.isnan(matrices[t, absent]).all()


def test_landmarks(result: ExportedResult, tmp_path: Path) -> None:
    import ezc3d

    path, table, _ = write("landmarks", result, tmp_path)
    file, model = ezc3d.c3d(str(path)), result.bodies.model
    names = file["parameters"]["POINT"]["LABELS"]["value"]
    own = [name for name in model.keypoints if name in ("nose", "left_heel") or "toe" in name]
    assert {f"P{i}:{name}" for i in PEOPLE for name in (*model.joints, *own)} < set(names)
    xyz = file["data"]["points"][:3].transpose(2, 1, 0)
    for p, i in enumerate(PEOPLE):
        joints = xyz[:, [names.index(f"P{i}:{name}") for name in model.joints]]
        np.testing.assert_allclose(joints, true_joints(result, p), rtol=2.0**-24, atol=3e-5)
    bones = result.bodies.bones(1)
    heels = model.posed_keypoints(result.bodies.rest.keypoints_mm, bones)[:, model.keypoints.index("left_heel")]
    found = xyz[1, [names.index(f"P{i}:left_heel") for i in PEOPLE]]
    np.testing.assert_allclose(found, heels, rtol=2.0**-24, atol=3e-5)
    assert ",3,left_heel," in table.read_text()
    (note,) = EXPORTERS.get("landmarks").notes(result)
    assert "they were not observed" in note


@pytest.mark.skipif(bool(EXPORTERS.get("usd").unavailable()), reason=EXPORTERS.get("usd").unavailable())
@pytest.mark.parametrize(("up", "units", "mm"), [("y", "m", 1000), ("z", "cm", 10)])
def test_usd(
    up: str, units: str, mm: float, any_surface: ExportedResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pxr import Usd, UsdGeom, UsdSkel, UsdValidation, Vt

    monkeypatch.setattr("core.export.formats.usd._SAVED_FRAMES", 1)  # saved after each person
    result = any_surface
    (path,) = write("usd", result, tmp_path, up=up, units=units)
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert not errors, [error.GetMessage() for error in errors]
    assert stage.GetTimeCodesPerSecond() == FPS and UsdGeom.GetStageUpAxis(stage) == up.upper()
    assert UsdGeom.GetStageMetersPerUnit(stage) * 1000 == pytest.approx(mm)
    motion, cache = result.bodies, UsdSkel.Cache()
    turned = y_up if up == "y" else np.asarray
    for person, name in enumerate(("P3", "P11")):
        root = UsdSkel.Root(stage.GetPrimAtPath(f"/World/{name}"))
        cache.Populate(root, Usd.PrimDefaultPredicate)
        skeleton = cache.GetSkelQuery(UsdSkel.Skeleton(stage.GetPrimAtPath(f"/World/{name}/Skeleton")))
        mesh = UsdGeom.Mesh(stage.GetPrimAtPath(f"/World/{name}/Body"))
        skin = cache.GetSkinningQuery(mesh.GetPrim())
        for t, time_s in enumerate(result.poses.time_s):
            code = Usd.TimeCode(time_s * FPS)
            visible = UsdGeom.Imageable(root).ComputeVisibility(code) != UsdGeom.Tokens.invisible
            truth = true_joints(result, person)[t]
            assert visible == np.isfinite(truth).all()
            if not visible:
                continue
            joints = np.array(skeleton.ComputeJointSkelTransforms(code))[:, 3, :3]
            assert np.abs(joints * mm - turned(truth)).max() < CLOSE_MM
            points = Vt.Vec3fArray(mesh.GetPointsAttr().Get())
            if shapes := skin.GetBlendShapeOrder():
                animation = skeleton.GetAnimQuery()
                assert list(shapes) == list(animation.GetBlendShapeOrder())
                blend = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh.GetPrim()))
                sub_weights, shape_at, sub_at = blend.ComputeSubShapeWeights(animation.ComputeBlendShapeWeights(code))
                assert blend.ComputeDeformedPoints(
                    sub_weights,
                    shape_at,
                    sub_at,
                    blend.ComputeBlendShapePointIndices(),
                    blend.ComputeSubShapePointOffsets(),
                    points,
                )
            assert skin.ComputeSkinnedPoints(skeleton.ComputeSkinningTransforms(code), points, code)
            surface = motion.vertices_mm(t)[motion.people(t).tolist().index(person)]
            assert np.abs(np.array(points) * mm - turned(surface)).max() < CLOSE_MM
