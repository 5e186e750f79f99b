"""What a reader of the comparison's tables must know: how the measures are meant, and where we left the paper's way."""

from __future__ import annotations

PHOTOGRAPHS = """\
Photometric error: mean colour distance over the visible frontal vertices, RGB in 0 to 1. Landmark error: mean distance
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
Error: mean colour distance per pixel of the face (hull of the landmarks with a forehead) and of the whole crop.
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
VERIFICATION = """\
Cosine of whitened shape and reflectance codes, mean over the folds; AUC is the area under the ROC, 0.5 is chance."""
DIFFERENCES = """\
- The face model is MakeHuman's geometry with a reflectance learned from photographs, not the Basel model with the
  expressions of FaceWarehouse, which cannot be passed on. Its modes mean other things, and errors in millimetres do not
  compare with the paper's.
- Colours are display RGB, as in the paper, and not linear; light and shading are therefore approximations in the same
  way.
- Without landmarks, the loss is weighted by projected area and has a background cost, where the paper divides Eq. 8 by
  the constant number of frontal vertices. In so short a training, Eq. 8 as printed lets faces shrink. `--preset paper`
  of `train_mofa.py` has Eq. 8 as printed.
- Quick trainings use MobileNetV2 at 112 px with Adam, not AlexNet or VGG-Face at 240 px with AdaDelta, and minutes, not
  days. Other encoders are compared with `train_mofa.py --encoder`.
- Networks of pixels look at 112 px in quick runs, so their images are blurrier for that reason too. They are compared
  at that size, and so is the face model.
- Fits minimise over a part of the frontal vertices, and their photometric error, like every system's, is the mean over
  visible vertices, not over pixels; the two differ where vertices lie unevenly.
- Richardson's network estimates geometry and pose only. Its photometric error is that with the average reflectance and
  the light that fits each photograph best, which is more help than other systems get.
- Tran's targets come from our own fits, pooled per person, and not from the fits of the authors; few people have
  several photographs here.
- Verification is on whatever pairs were given; pairs made from a part of LFW are not View 2, and people of the pairs
  may have been among the training photographs. Codes of fits (Romdhani and Vetter) are not verified here.
- There is no comparison with scans of real faces in these tables: geometry is measured on synthetic faces only, which
  favours what was trained on them. Figure 10 at 100,000 faces and occluders (Fig. 12) are not part of this run.
"""
