"""A face is followed from frame to frame, lost, and found again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from spot_videos import GREY, detect_spots, frame_of, locate_spot, spot_reconstructor

from mofa3d import metrics
from mofa3d.data.doubts import Doubt
from mofa3d.data.found_face import FoundFace
from mofa3d.data.locate import LocatedFace
from mofa3d.fitting import color_fit
from mofa3d.reconstruction.video import tracking
from mofa3d.reconstruction.video.tracking import FaceTracker, TrackingConfig, sampled
from mofa3d.renderers.vertex import VertexRenderer


@pytest.fixture
def detections(monkeypatch) -> list[int]:
    """Counts the calls of the detector, which finds squares."""
    calls = []

    def detect(photo):
        calls.append(1)
        return detect_spots(photo)

    monkeypatch.setattr(tracking, "detect_faces", detect)
    monkeypatch.setattr(tracking, "locate", locate_spot)
    return calls


def follow(tracker: FaceTracker, places) -> list:
    return [tracker(number, frame_of(place)) for number, place in enumerate(places)]


def origins(sightings) -> np.ndarray:
    """Where the middle of the landmarks is seen."""
    return np.array([sighting.landmarks.mean(axis=0) for sighting in sightings])


def test_face_is_followed_without_the_detector(tiny_model, detections):
    places = [(60 + 1.5 * k, 60 + 0.5 * k, 30 * 1.01**k) for k in range(20)]
    sightings = follow(FaceTracker(spot_reconstructor(tiny_model)), places)
    assert len(detections) == 1
    assert [sighting.frame for sighting in sightings] == list(range(20))
    assert {sighting.track for sighting in sightings} == {0}
    moved = origins(sightings) - origins(sightings)[0]
    steps = np.array(places)[:, :2] - places[0][:2]
    assert np.abs(moved - steps).max() < 1.0
    # The crop goes along: the square stays as large in it.
    scales = np.array([sighting.transform.scale for sighting in sightings])
    np.testing.assert_allclose(scales * [place[2] for place in places], scales[0] * 30, rtol=0.03)


def test_colors_are_fitted_to_each_frame(tiny_model, detections, monkeypatch):
    monkeypatch.setattr(color_fit, "FEWEST", 10)
    tracker, images = FaceTracker(spot_reconstructor(tiny_model)), []
    fit = tracker.fit_colors
    tracker.fit_colors = lambda code, image: images.append(image) or fit(code, image)
    found = follow(tracker, [(80, 60, 36), (81, 60, 36)])
    reconstructor = spot_reconstructor(tiny_model)
    reconstructor.refine = None  # --as-predicted
    plain = follow(FaceTracker(reconstructor), [(80, 60, 36), (81, 60, 36)])
    assert len(images) == 2
    render = VertexRenderer()
    for fitted, said, image in zip(found, plain, images, strict=True):
        assert (fitted.error, fitted.transform) == (said.error, said.transform)
        assert np.array_equal(fitted.landmarks, said.landmarks)
        for block in ("shape", "expression", "rotation", "translation"):
            assert torch.equal(getattr(fitted.code, block), getattr(said.code, block))
        errors = [metrics.photometric_error(render(tracker.decode(each.code)), image) for each in (fitted, said)]
        assert errors[0] < 0.7 * errors[1]


def test_detector_is_asked_every_so_often(tiny_model, detections):
    config = TrackingConfig(detect_every=4)
    assert all(follow(FaceTracker(spot_reconstructor(tiny_model), config), [(80, 60, 36)] * 12))
    assert len(detections) == 3


def test_face_that_vanishes_is_lost_and_found_again(tiny_model, detections):
    places = [(80.0, 60.0, 36.0)] * 5 + [None] * 6 + [(82.0, 60.0, 36.0)] * 5
    sightings = follow(FaceTracker(spot_reconstructor(tiny_model)), places)
    # It is looked for in the frame in which it is lost, and in every third one after that.
    assert [sighting is not None for sighting in sightings] == [True] * 5 + [False] * 6 + [True] * 5
    assert sightings[5] is None
    assert len(detections) == 4
    assert sightings[-1].track == 0  # at nearly the same place


def test_face_at_another_place_is_another_track(tiny_model, detections):
    places = [(50.0, 60.0, 36.0)] * 4 + [(120.0, 50.0, 30.0)] * 4
    sightings = follow(FaceTracker(spot_reconstructor(tiny_model)), places)
    assert [sighting.track for sighting in sightings] == [0] * 4 + [1] * 4
    assert np.abs(origins(sightings[4:]) - origins(sightings[:4]) - [70, -10]).max() < 4


def test_what_photographs_refuse_is_not_followed(tiny_model, detections, monkeypatch):
    good, bad = detect_spots(frame_of((80, 60, 36)))[0], FoundFace.of_box(30.0, 30.0, 12.0, 0.9)
    monkeypatch.setattr(tracking, "detect_faces", lambda photo: [bad, good])
    refused = LocatedFace(bad, None, Doubt("is 12 pixels large", True))
    monkeypatch.setattr(
        tracking, "locate", lambda photo, face: refused if face is bad else LocatedFace(face, None, None)
    )
    [sighting] = follow(FaceTracker(spot_reconstructor(tiny_model)), [(80, 60, 36)])
    assert np.hypot(*(sighting.landmarks.mean(axis=0) - (80, 60))) < 10
    monkeypatch.setattr(tracking, "locate", lambda photo, face: refused)
    assert follow(FaceTracker(spot_reconstructor(tiny_model)), [(80, 60, 36)] * 2) == [None, None]


def test_numbers_that_are_not_finite_are_no_face(tiny_model, detections):
    reconstructor = spot_reconstructor(tiny_model)
    seen = reconstructor.encode
    reconstructor.encode = lambda image: seen(image) * float("nan")
    assert follow(FaceTracker(reconstructor), [(80, 60, 36)] * 3) == [None] * 3


def test_sampled_model_has_the_same_landmarks(tiny_model):
    part = sampled(tiny_model, 20)
    assert 20 <= int(part.frontal.sum()) < int(tiny_model.frontal.sum())
    points = [model.landmarks(model.mean_shape[None]) for model in (part, tiny_model)]
    assert (points[0] == points[1]).all()


@pytest.mark.parametrize("wrong", [{"detect_every": 0}, {"search_every": 0}])
def test_config(wrong):
    with pytest.raises(ValueError, match="detections are at least 1 frame apart"):
        TrackingConfig(**wrong)


def test_spots_are_where_they_should_be():
    frame = frame_of((40.25, 60.5, 20.0))
    x = np.arange(160) + 0.5
    weights = frame[..., 0].astype(float)
    assert (weights.sum(0) @ x) / weights.sum() == pytest.approx(40.25, abs=0.02)
    assert weights.sum() / GREY == pytest.approx(400, rel=0.01)
