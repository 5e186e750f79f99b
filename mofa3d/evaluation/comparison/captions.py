"""What a reader of the comparison's tables must know: how the measures are meant, and where we left the paper's way."""

from __future__ import annotations

PHOTOGRAPHS = """\
Photometric error: mean color distance over the visible frontal vertices, RGB in 0 to 1. Landmark error: mean distance
of 46 points in pixels of the 240 px crop; fits and surrogates with landmarks were given, or trained towards, points of
the same kind, so their error measures how closely they follow these points, not how accurate they are. Area ratio: hull
of the model's points over that of the photograph's; below 1 the face has shrunk. Yaw correlation: with the yaw
estimated from the photograph's points. Photographs were processed one at a time, on one thread of this machine."""
SYNTHETIC = """\
Held-out faces of the model itself, whose true geometry is known. Geometric error: point to point over the frontal face,
after the estimated rotation, compensating translation and isotropic scale. Fits with landmarks get the true points,
which no detector would give them. The iterative regressor and "MoFA, synthetic" were trained on the same images, each
for the minutes given in the commands below; the other encoders never saw a synthetic face."""
PIXELS = """\
Error: mean color distance per pixel of the face (hull of the landmarks with a forehead) and of the whole crop.
Sharpness: mean squared brightness difference of neighbouring pixels over the photograph's; below 1 the image is
blurrier, though noise and chequers count as sharp. Detail: share of the photograph's brightness differences that is
repeated in the same place. The face model is drawn over the average training image, where a network of pixels would
have to draw the background, so that nothing is copied from the photograph; its error on the whole crop means little."""
SYNTHETIC_PIXELS = """\
The same from the true codes: what a decoder achieves with a perfect encoder. The face model rendered these faces
itself; only the resampling and the background, which is not in the code, distinguish its image from the photograph."""
TIMES = """\
On one thread, one image at a time, from the crop to the code; for networks of pixels and the face model drawn beside
them, from the crop to the image. Finding and cropping the face is not included."""
TRAININGS = """\
How far each training came in its minutes; images are counted as often as they were seen. Networks that start from
random weights, AlexNet and VGG-Face unless files of pretrained ones were given, are far from convergence after a few
minutes: their rows in the other tables show the result of so few iterations, not what these networks can reach. For a
run that was reused, the numbers are its own."""
TRAINED = """\
Fig. 10: MoFA trained on synthetic faces only (their number is in the facts above, and in the command below), measured
on synthetic faces that were held out, in the training's own report. Before it, the encoder predicts the average face.
Geometric error: point to point over the frontal face, after the estimated rotation, compensating translation and
isotropic scale."""
OCCLUDED = """\
Fig. 12: the same photographs with an ellipse of one color laid over each, a tenth to three tenths of the crop's width
in radius, at a random place, so that some hide half of the face and some hardly anything. Codes come from the
occluded photograph, errors are measured against the one without occluder; the last two columns are the errors of codes
that came from that one."""
VERIFICATION = """\
Cosine of whitened shape and reflectance codes, mean over the folds; AUC is the area under the ROC curve, 0.5 is chance.
The fit in the manner of Romdhani and Vetter is Garrido's with landmarks, from the average face."""
OWN_VERIFICATION = f"""\
{VERIFICATION} The pairs are not LFW's View 2: they were made from people who were held out and of whom there are
several photographs, a few of each, so that they are few, and photographs of one person may come from the same video.
Nobody is in two folds, and no encoder was trained on these people, if those that were reused had the same split."""
DIFFERENCES = """\
- The face model is MakeHuman's geometry with a reflectance learned from photographs, not the Basel model with the
  expressions of FaceWarehouse, which cannot be redistributed. Its modes have other meanings, and errors in millimetres
  are not comparable with the paper's.
- Colors are display RGB, as in the paper, and not linear; light and shading are therefore approximations in the same
  way.
- Without landmarks, the loss is weighted by projected area and has a background cost, where the paper divides Eq. 8 by
  the constant number of frontal vertices. In so short a training, Eq. 8 as printed lets faces shrink. `--preset paper`
  of `train_mofa.py` has Eq. 8 as printed.
- With landmarks, an additional term closes the lips, which Eq. 8 and 9 do not cover.
- The encoders' input size is given in the facts above (112 px by default), and they are trained with Adam for minutes,
  not at 240 px with AdaDelta for days. The comparison is based on MobileNetV2 from ImageNet weights by default. AlexNet
  and VGG-Face, the paper's, start from random weights unless files of pretrained ones are given, since none come with
  this program; their learning rate is lower, their geometry is frozen for fewer iterations, and VGG-Face's batches are
  smaller, as the commands below show.
- Networks of pixels take 112 px in quick runs, so their images are blurrier for that reason too. They are compared
  at that size, and so is the face model.
- Fits minimise over a part of the frontal vertices, and their photometric error, like every system's, is the mean over
  visible vertices, not over pixels; the two differ where vertices lie unevenly.
- Richardson's network estimates geometry and pose only. Its photometric error is that with the average reflectance and
  the light that fits each photograph best, which is more help than other systems get.
- Tran's targets come from our own fits, pooled per person, and not from the fits of the authors; few people have
  several photographs here.
- There are fewer synthetic training faces than the paper's 100,000 (`--synthetic-count`), and their landmarks are part
  of the loss.
- Occluders are ellipses of one color. They were not used in any training.
- Verification in the manner of Romdhani and Vetter compares codes of our own Gauss-Newton fits with landmarks, where
  the authors had edges, highlights and texture constraints too. Without LFW's own pairs, pairs of held-out people are
  made, which is not View 2; with them, people of the pairs may have been among the training photographs.
- The reports of quick trainings measure a part of what is held out, evenly spread.
- Unless scans were given (`--scans`), geometry is measured on synthetic faces only, which favours what was trained on
  them; the paper has scans of real faces.
"""
