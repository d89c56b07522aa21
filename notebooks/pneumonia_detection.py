# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pneumonia in chest radiographs: the whole story
#
# **Research use only. Not a medical device.**
#
# Data and its traps, lung field, augmentation, networks, training, calibration, export with parity, evaluation with intervals,
# Grad-CAM and whether to believe it, prediction. Every step is a function of the package, so what you see here is what the commands do.
#
# It runs in three places: on a folder in the layout `train|val/NORMAL|PNEUMONIA/*`, on Kaggle (attach
# `paultimothymooney/chest-xray-pneumonia`) or Colab, and, where there are no radiographs, on drawn chests.

# %%
# Kaggle and Colab: install what is missing. Elsewhere the package is there already.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("pneumoscope") is None:
    package = "pneumoscope[train,demo] @ git+https://github.com/pneumoscope/pneumoscope"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)

# %%
import contextlib
import dataclasses
import io
import json
import logging
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
logging.getLogger("tensorflow").setLevel(logging.ERROR)

import numpy as np
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

import pneumoscope
from pneumoscope.drawing.png import encode_png
from pneumoscope.evaluation.plots import png

BEGIN = time.perf_counter()


def table(header, rows):
    """Show rows as a table."""
    lines = [header, ["---"] * len(header), *rows]
    display(Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)))


def show(figure):
    """Show a figure; every one carries the notice."""
    display(Image(png(figure), width=round(72 * figure.get_figwidth())))


def show_panels(panels):
    """Show RGB panels in a row."""
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(panel, ((0, height - panel.shape[0]), (0, 0), (0, 0))) for panel in panels]
    display(Image(encode_png(np.concatenate(padded, axis=1)), width=300 * len(panels)))


# %% [markdown]
# ## Settings
#
# `minutes` trains PneumoNet for five epochs on one patient in twenty: enough to see every step, not enough for a good
# model; the last line says how long the notebook took. `real` is the whole recipe on all images. `test` is what the
# project's tests run. The recipes learn from children and adults; here, as on Kaggle, there are children alone.

# %%
from pneumoscope.training.recipe import Stage, load_recipe

SETTING = os.environ.get("PNEUMOSCOPE_NOTEBOOK", "minutes")
SHOW_RADIOGRAPHS = os.environ.get("PNEUMOSCOPE_NOTEBOOK_RADIOGRAPHS", "1") == "1"  # off where the outputs are published

recipe = load_recipe("pneumonet")
one_patient_in = 1
tested_heatmaps = 100
if SETTING == "minutes":
    recipe = dataclasses.replace(recipe, stages=(Stage(4, 96), Stage(1, 112)))
    one_patient_in, tested_heatmaps = 20, 4
elif SETTING == "test":
    recipe = dataclasses.replace(recipe, stages=(Stage(1, 32), Stage(2, 64)), batch_size=8)
    tested_heatmaps = 2

work = Path(os.environ.get("PNEUMOSCOPE_NOTEBOOK_OUT") or tempfile.mkdtemp(prefix="pneumoscope-"))
print(f"pneumoscope {pneumoscope.__version__}, setting '{SETTING}', {recipe.epochs} epochs")

# %%
from pneumoscope.datasets.phantom import chest_phantom, write_phantom_data

PLACES = [
    Path(os.environ.get("PNEUMOSCOPE_DATA", "data")) / "chest_xray_224",
    Path("/kaggle/input/chest-xray-pneumonia/chest_xray"),
    Path("chest_xray"),
    Path("../chest_xray"),
]
data = next((place for place in PLACES if (place / "train").is_dir()), None)
drawn = data is None
if drawn:
    data = write_phantom_data(work / "phantom", patients=40, size=128)
print("drawn chests: every figure below is about drawings" if drawn else "radiographs of the Kermany data set")

# %% [markdown]
# ## The data and its traps
#
# The audit asks what a careful reviewer asks: who is in which split, what is there twice, and what could give the answer
# away without any anatomy.

# %%
from pneumoscope.datasets.audit.audit import audit_folder

audit = audit_folder(data, jobs=2)
table(
    ["split", "class", "images", "patients by number", "patients by number and agent", "subtypes"],
    [
        [
            c.split,
            c.label,
            c.images,
            c.patients_person,
            c.patients_agent,
            ", ".join(f"{k} {v}" for k, v in c.subtypes.items()),
        ]
        for c in audit.counts
    ],
)
table(
    ["question", "answer"],
    [
        ["Leaks between splits or labels", len(audit.leaks)],
        ["Groups of byte-identical files", len(audit.byte_duplicates)],
        ["Pairs that look alike and differ in bytes", len(audit.near_duplicates)],
        ["... of different patients", sum(pair.across_patients for pair in audit.near_duplicates)],
        ["Patient numbers that occur under both agents", sum(audit.numbers_under_both_agents.values())],
        ["Names that carry no patient", len(audit.unparsed_names)],
        ["Unreadable files", len(audit.unreadable)],
    ],
)

# %% [markdown]
# **Trap 1: shortcuts.** One number that is no anatomy may tell the classes apart. An AUC of 0.5 is chance; far from it, a
# network can score without looking at a lung.

# %%
split, by_statistic = next(iter(audit.shortcut_auc.items()))
table(
    [f"number alone, {split}", "AUC for pneumonia", "what it is"],
    [
        [name, "too few images" if auc is None else f"{auc:.3f}", audit.statistics_meaning[name]]
        for name, auc in by_statistic.items()
    ],
)

# %% [markdown]
# **Trap 2: the order.** File names count patients. The official test split was not drawn at random: it holds the lowest
# numbers of each counter, so it is earlier in time and perhaps from other equipment. Below: the numbers that training
# has, with nothing where the test split lies. A random validation split does not see that shift.

# %%
from pneumoscope.datasets.kermany import parse_name
from pneumoscope.datasets.layout import official_splits
from pneumoscope.datasets.registry import find_images

usable = [name for name in official_splits(data) if name != "test"]  # the test split is for the end, and for once
images = find_images(data, usable)
numbers = {}
for image in images:
    if facts := parse_name(image.path.stem):
        numbers.setdefault(f"{facts.counter} ({image.label.value.lower()})", []).append(facts.number)
figure = Figure(figsize=(9, 2.6), dpi=110, layout="constrained")
for axes, (counter, values) in zip(figure.subplots(1, len(numbers)), sorted(numbers.items()), strict=True):
    axes.hist(values, bins=60, range=(0, max(values)), color="#0072B2")
    axes.set(title=f"{counter}, lowest {min(values)}", xlabel="number", ylabel="images")
show(figure)

# %% [markdown]
# **Trap 3: patients.** A child has up to dozens of images; a split by image puts the same child on both sides. So the
# official `train` and `val` are pooled, byte-identical files dropped, and split again by patient into three roles:
# `train`; `grouped`, random patients, the fold that calibrates; `ordered`, the lowest tenth of each counter, made as the
# test split was, for the evaluation below. The recipes of `pneumoscope train` use that tenth too.

# %%
from pneumoscope.datasets.checks import check_folder
from pneumoscope.datasets.source import Role
from pneumoscope.datasets.splits import assign_roles

checked = check_folder(data, usable)
all_rows = assign_roles(checked.images, hashes=checked.hashes, folds=recipe.folds)
patients = {patient: number for number, patient in enumerate(sorted({row.patient for row in all_rows}))}
rows = [row for row in all_rows if patients[row.patient] % one_patient_in == 0]
table(
    ["role", "images", "patients", "NORMAL", "BACTERIAL", "VIRAL", "images used here", "patients used here"],
    [
        [
            role.value,
            len(group := [row for row in all_rows if row.role is role]),
            len({row.patient for row in group}),
            *((kinds := Counter(row.subtype for row in group))[name] for name in ("NORMAL", "BACTERIAL", "VIRAL")),
            len(used := [row for row in rows if row.role is role]),
            len({row.patient for row in used}),
        ]
        for role in Role
    ],
)

# %% [markdown]
# ## Augmentation, as pictures
#
# A network sees the box around the lungs, which a small network of its own finds: what lies outside them can tell the
# classes apart too. Each training radiograph is varied anew in every epoch: the box, geometry, exposure, noise, frames,
# and an erased corner where side markers stand. Above a drawn chest, below the adult chest of the `pydicom-data` package;
# leftmost the original with its box, then what the network is shown.

# %%
from pneumoscope.demo.cases import dicom_samples
from pneumoscope.imaging.reader import read_image
from pneumoscope.imaging.resize import shrink
from pneumoscope.training.augmentation import augment
from pneumoscope.training.lungs.shipped import find_lungs

chest_file, leg_file = (sample.path for sample in dicom_samples())
figure = Figure(figsize=(9, 3.2), dpi=80, layout="constrained")
grid = figure.subplots(2, 6)
for row, original in zip(
    grid, (chest_phantom(224, seed=1), shrink(read_image(chest_file).pixels, width=224, height=224)), strict=True
):
    random, box = np.random.default_rng(0), find_lungs(original[None]).boxes[0]
    for column, axes in enumerate(row):
        seen = augment(original, recipe.augmentation, random, box=box, size=recipe.network_size) if column else original
        axes.imshow(seen, cmap="gray", vmin=0, vmax=255)
        if column == 0:
            left, top, right, bottom = 224 * box
            axes.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color="#E69F00")
        axes.set_axis_off()
show(figure)

# %% [markdown]
# ## The networks
#
# All take grey levels 0 to 255 and give logits, the feature maps that Grad-CAM explains, and an embedding that typicality
# is measured on.
# A recipe says which network is trained, and how. Each member is trained on all folds of patients but one. The built-in
# model is `trio`: three members, joined into one network.

# %%
from pneumoscope.training.networks import build_network
from pneumoscope.training.recipe import built_in_recipes

described = []
for each in map(load_recipe, built_in_recipes()):
    network = build_network(each.network, classes=each.classes, size=each.network_size)
    described.append(
        [
            f"`{each.name}`",
            f"`{each.network}`",
            each.weights.value,
            each.members,
            each.folds,
            each.epochs,
            each.network_size,
            f"{network.count_params():,}",
            tuple(network.output["maps"].shape[1:]),
            network.output["embedding"].shape[1],
        ]
    )
table(
    [
        "recipe",
        "network",
        "starts from",
        "members",
        "folds",
        "epochs",
        "pixels",
        "parameters of a member",
        "maps",
        "embedding",
    ],
    described,
)

# %% [markdown]
# ## Training
#
# The same call as `pneumoscope train`. Every epoch is scored on both validations, to follow the training by; the weights are
# those after the last epoch, so that none is chosen for a lucky score. The fold that the network did not see gives its
# out-of-fold scores. An interrupted run goes on with `resume=True`, to the same weights.

# %%
from pneumoscope.training.members import train_recipe

run = train_recipe(rows, recipe, work / "run")
log = run.read_log()
table(
    ["epoch", "pixels", "loss", "AUC random patients", "AUC time-ordered", "seconds"],
    [
        [r.epoch, r.size, f"{r.loss:.4f}", f"{r.grouped_auc:.4f}", f"{r.ordered_auc:.4f}", f"{r.seconds:.0f}"]
        for r in log
    ],
)
print(f"weights: those after epoch {run.best_epoch()}, the last")

# %%
from pneumoscope.evaluation.plots import training_curves

show(training_curves(run.log))

# %% [markdown]
# ## Calibration
#
# Between training and export, on the out-of-fold scores: log odds become the probability where half of the patients have
# pneumonia, thresholds are chosen, and a band of scores in which the model does not know. Export reads what is written here.

# %%
from pneumoscope.calibration.images import RunImages
from pneumoscope.calibration.run import calibrated_run

calibrated = calibrated_run(run.load_best(), RunImages(run))
print(f"fitted on {calibrated.scores}: temperature {calibrated.calibration.temperature:.3f}")
table(
    ["operating point", "pneumonia from P", "sensitivity", "specificity"],
    [
        [name, f"{point.threshold:.3f}", f"{point.sensitivity:.3f}", f"{point.specificity:.3f}"]
        for name, point in calibrated.operating_points.items()
    ],
)
band = calibrated.conformal
print("no band: too few images" if band is None else f"does not know from {band.lower:.3f} to {band.upper:.3f}")

# %% [markdown]
# ## Export, with quantisation and parity
#
# The exported graph holds lung field, standardisation, network, calibration, heatmap and typicality, so that no client can
# normalise wrongly. Every validation radiograph goes through Keras and through the file, with whole and with quantised
# weights; a model that breaks its limits is not written.

# %%
from pneumoscope.errors import ExportError
from pneumoscope.export.exporter import export_run
from pneumoscope.export.forms import ExportFormat
from pneumoscope.model.contract import Quantization

try:
    with contextlib.redirect_stdout(io.StringIO()):  # TensorFlow prints what it saves
        export_run(run, work / "exported", [Quantization.FLOAT32, Quantization.DYNAMIC], [ExportFormat.LITERT])
except ExportError as error:
    print(str(error).replace(str(work), "."))

parity = json.loads((work / "exported" / "parity.json").read_text())
table(
    [
        "numbers",
        "MB",
        "radiographs",
        "largest difference of P",
        "mean difference of P",
        "decisions that flip",
        "heatmap correlation",
    ],
    [
        [
            made["quantization"],
            f"{made['bytes'] / 1e6:.2f}",
            made["n"],
            f"{made['largest_difference']:.1e}",
            f"{made['mean_difference']:.1e}",
            max(change["count"] for change in made["flips"].values()),
            f"{made['heatmap_correlation']:.4f}",
        ]
        for made in parity["exports"]
    ],
)

# %% [markdown]
# ## Evaluation with intervals
#
# The exported file judges the time-ordered slice, from the image files on. A refused image counts as an error. Nothing was
# fitted on the slice but the limit of typicality, which its images count towards. With few images the intervals are
# wide: read them, not the figures. The built-in model has learnt from these images, so it is not judged here; its figures,
# out of fold, are in the model card.

# %%
from pneumoscope.evaluation.folder import evaluate_predictions
from pneumoscope.evaluation.score import tabulate

slice_rows = [row for row in rows if row.role is Role.ORDERED]
model = pneumoscope.load_model(next((work / "exported").glob("*-float32.tflite")))
builtin = pneumoscope.load_model()

# `pneumoscope.evaluate(model, slice_rows)` does as much; here the heatmaps are kept for what follows.
predictions = model.predict([row.path for row in slice_rows])
point, chosen = model.contract.operating_point()
report = evaluate_predictions(
    tabulate(slice_rows, predictions),
    threshold=chosen.threshold,
    operating_point=point,
    operating_points={key: value.threshold for key, value in model.contract.operating_points.items()},
    split="ordered",
    model_info=dataclasses.asdict(model.info),
    out=work / "report",
)


def with_interval(result):
    """A figure with its 95 % interval."""
    if result.value is None:
        return "undefined"
    return f"{result.value:.3f}" + (f" ({result.ci95[0]:.3f} to {result.ci95[1]:.3f})" if result.ci95 else "")


table(
    ["figure (95 % interval)", f"this run, n = {len(report.table)}"],
    [[metric.value, with_interval(result)] for metric, result in report.metrics.items()],
)

# %%
from pneumoscope.evaluation.plots import confusion_matrix, reliability, roc

for draw in (confusion_matrix, roc, reliability):
    show(draw(report))

# %% [markdown]
# ## Grad-CAM on right and wrong answers
#
# The heatmap is part of the graph: no gradient is needed when the model runs. It shows what moved the score, not where
# the disease is. First the mean heatmap of the right and of the wrong answers, then single pictures: of the data where
# they may be shown, and of drawings and an adult's DICOM file in any case. A drawing that passes
# for a radiograph shows two limits: refusal does not keep everything out, and a sure answer on an input unlike the training
# data means nothing.

# %%
answers = {"true positive": [], "false positive": [], "false negative": []}
for row, prediction in zip(slice_rows, predictions, strict=True):
    if prediction.label is not None:
        called, sick = prediction.label == "PNEUMONIA", row.label == "PNEUMONIA"
        kind = ("true" if called == sick else "false") + (" positive" if called else " negative")
        answers.setdefault(kind, []).append((row, prediction))
shown = [(kind, found) for kind, found in answers.items() if found]
figure = Figure(figsize=(2.4 * len(shown) + 0.4, 2.7), dpi=110, layout="constrained")
for axes, (kind, found) in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
    axes.imshow(np.mean([prediction.heatmap for _, prediction in found], axis=0), cmap="plasma", vmin=0, vmax=1)
    axes.set_axis_off()
    axes.set_title(f"{kind}, {len(found)}", fontsize=9)
show(figure)

# %%
from pneumoscope.drawing.panel import panel

if SHOW_RADIOGRAPHS:
    for kind, found in shown:
        print(kind)
        show_panels([panel(p, read_image(row.path), p.heatmap, title=row.path.name, side=320) for row, p in found[:3]])

# %%
panels = []
for title, source in (
    ("drawn chest", encode_png(chest_phantom(512, seed=3))),
    ("drawn chest with an opacity", encode_png(chest_phantom(512, seed=3, opacity=1.0))),
    ("RG1_UNCR.dcm, an adult", chest_file.read_bytes()),
):
    answer = builtin.predict(source)
    panels.append(panel(answer, read_image(source), answer.heatmap, title=title, side=320))
show_panels(panels)

# %% [markdown]
# ## Are the heatmaps to be believed?
#
# Four tests on images that the model called pneumonia. *Insertion and deletion*: does the score follow the hottest pixels
# more than those of a random map or a centred blob? *Randomisation*: does the heatmap change when the weights are
# shuffled, as it must? *Lung box*: how much of the heat lies where lungs are? *Stability*: does it move with the image?

# %%
from pneumoscope.evaluation.explanations.examine import examine
from pneumoscope.evaluation.explanations.plots import explanations

called = [(row, p) for row, p in zip(slice_rows, predictions, strict=True) if p.label == "PNEUMONIA"]
scores = examine(
    model, [str(row.path) for row, _ in called], [row.patient for row, _ in called], images=tested_heatmaps, jobs=2
)
from pneumoscope.evaluation.explanations.summary import summarise

tests = summarise(scores)
show(explanations(tests))
for what, why in scores.undefined.items():
    print(f"{what}: {why}")

# %%


def mean_of(estimate):
    """A mean with its 95 % interval."""
    if estimate.mean is None:
        return "undefined"
    return f"{estimate.mean:.3f}" + (f" ({estimate.ci95[0]:.3f} to {estimate.ci95[1]:.3f})" if estimate.ci95 else "")


table(
    ["heatmap", *(check.value for check in next(iter(tests.means.values()), {}))],
    [[name.value, *(mean_of(estimate) for estimate in checks.values())] for name, checks in tests.means.items()],
)

# %% [markdown]
# ## Prediction with the exported file
#
# One file, one record for each input; what cannot be judged is refused with a reason.

# %%
for file in (chest_file, leg_file):
    print(file.name)
    record = json.loads(builtin.predict(file.read_bytes()).to_json())
    table(["field", "value"], [[key, value] for key, value in record.items() if key not in ("path", "sha256", "model")])

# %%
probe = model.predict(encode_png(chest_phantom(512, seed=3, opacity=1.0)))
print(f"the model of this run: {probe.status}, {probe.label}, P(pneumonia) = {probe.probability}, {probe.reasons}")

# %% [markdown]
# ## What this must not be used for
#
# - **No diagnosis, no triage, no second opinion.** It is no medical device and has been tested on no patient care.
# - **Not on adults, other hospitals or other views.** It was trained on frontal views of children of one to five years
#   from one hospital. In one published check, models of this kind fell to an AUC of 0.54 on other hospitals' children.
# - **Not to tell bacterial from viral** so as to give or withhold antibiotics: it does that badly.
# - **Not to point at disease.** A heatmap shows what moved the score; a marker or a tube can move it too.
# - **Not without refusal.** Refusal keeps out what is clearly no such radiograph, not everything.

# %%
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(f"ran in {(time.perf_counter() - BEGIN) / 60:.1f} minutes, setting '{SETTING}', {cores} cores")
