"""What a reader of the comparison's tables must know: how the measures are meant, and where we left the paper's way."""

from __future__ import annotations

PHOTOGRAPHS = """\
Photometric error: mean color distance over the visible frontal vertices, RGB in 0 to 1. Landmark error: mean distance
of 46 points in pixels of the 240 px crop; fits and surrogates with landmarks were given, or trained towards, points of
the same kind, so theirs says how well they obey and not how right they are. Area ratio: hull of the model's points over
that of the photograph's; below 1 the face has shrunk. Yaw correlation: with the yaw that the photograph's points say.
Every photograph was done by itself, on one thread of this machine."""
SYNTHETIC = """\
Held-out faces of the model itself, whose true geometry is known. Geometric error: point to point over the frontal face,
after the estimated rotation, compensating translation and isotropic scale. Fits with landmarks get the true points,
which no detector would give them. The iterative regressor and "MoFA, synthetic" were trained on the same images, each
for the minutes that the commands below say; the other encoders never saw a synthetic face."""
PIXELS = """\
Error: mean color distance per pixel of the face (hull of the landmarks with a forehead) and of the whole crop.
Sharpness: mean squared brightness difference of neighbouring pixels over the photograph's; below 1 the image is
blurrier, though noise and chequers count as sharp. Detail: share of the photograph's brightness differences that is
repeated in the same place. The face model's image lies on the average training image, where a network of pixels would
have to draw the background, so that nothing is copied from the photograph; its error on the whole crop says little."""
SYNTHETIC_PIXELS = """\
The same from the true codes: what a decoder can do whose encoder makes no mistake. The face model has drawn these faces
itself; only the resampling and the background, which is not in the code, set it apart from the photograph."""
TIMES = """\
On one thread, one image at a time, from the crop to the code; of networks of pixels and of the face model drawn beside
them, from the crop to the image. Finding and cropping the face takes no part."""
TRAININGS = """\
How far each training came in its minutes; images are counted as often as they were seen. Networks that start from
random weights, AlexNet and VGG-Face unless files of pretrained ones were given, are far from their end after a few
minutes: their rows in the other tables say what so few iterations do, and not what these networks can. A run that was
reused says what it reached itself."""
TRAINED = """\
Fig. 10: MoFA trained on synthetic faces only (their number is in the facts above, and in the command below), measured
on synthetic faces that were held out, in the training's own report. Before it the encoder says the average face.
Geometric error: point to point over the frontal face, after the estimated rotation, compensating translation and
isotropic scale."""
OCCLUDED = """\
Fig. 12: the same photographs with an ellipse of one color laid over each, a tenth to three tenths of the crop's width
in radius, at a place of chance, so that some hide half of the face and some hardly anything. Codes come from the
occluded photograph, errors are measured against the one without occluder; the last two columns are the errors of codes
that came from that one."""
VERIFICATION = """\
Cosine of whitened shape and reflectance codes, mean over the folds; AUC is the area under the ROC, 0.5 is chance. The
fit in the manner of Romdhani and Vetter is Garrido's with landmarks, from the average face."""
OWN_VERIFICATION = f"""\
{VERIFICATION} The pairs are not LFW's View 2: they were made from people who were held out and of whom there are
several photographs, a few of each, so that they are few, and photographs of one person may come from the same video.
Nobody is in two folds, and no encoder was trained on these people, if those that were reused had the same split."""
DIFFERENCES = """\
- The face model is MakeHuman's geometry with a reflectance learned from photographs, not the Basel model with the
  expressions of FaceWarehouse, which cannot be passed on. Its modes mean other things, and errors in millimetres do not
  compare with the paper's.
- Colors are display RGB, as in the paper, and not linear; light and shading are therefore approximations in the same
  way.
- Without landmarks, the loss is weighted by projected area and has a background cost, where the paper divides Eq. 8 by
  the constant number of frontal vertices. In so short a training, Eq. 8 as printed lets faces shrink. `--preset paper`
  of `train_mofa.py` has Eq. 8 as printed.
- With landmarks, a term of its own closes the lips, which Eq. 8 and 9 do not see.
- Encoders look at the size that the facts above say (112 px unless another was asked for) and are trained with Adam for
  minutes, not at 240 px with AdaDelta for days. The one that the comparison rests on is, unless another was asked for,
  MobileNetV2 from ImageNet weights. AlexNet and VGG-Face, the paper's, begin with random weights unless files of
  pretrained ones are given, since none come with this program; their learning rate is lower, their geometry is held for
  fewer iterations, and VGG-Face's batches are smaller, as the commands below say.
- Networks of pixels look at 112 px in quick runs, so their images are blurrier for that reason too. They are compared
  at that size, and so is the face model.
- Fits minimise over a part of the frontal vertices, and their photometric error, like every system's, is the mean over
  visible vertices, not over pixels; the two differ where vertices lie unevenly.
- Richardson's network estimates geometry and pose only. Its photometric error is that with the average reflectance and
  the light that fits each photograph best, which is more help than other systems get.
- Tran's targets come from our own fits, pooled per person, and not from the fits of the authors; few people have
  several photographs here.
- Synthetic faces to train on are fewer than the paper's 100,000 (`--synthetic-count`), and their landmarks take part in
  the loss.
- Occluders are ellipses of one color. No training saw any.
- Verification in the manner of Romdhani and Vetter compares codes of our own Gauss-Newton fits with landmarks, where
  the authors had edges, highlights and texture constraints too. Without LFW's own pairs, pairs of held-out people are
  made, which is not View 2; with them, people of the pairs may have been among the training photographs.
- The reports of quick trainings measure a part of what is held out, evenly spread.
- Unless scans were given (`--scans`), geometry is measured on synthetic faces only, which favours what was trained on
  them; the paper has scans of real faces.
"""
