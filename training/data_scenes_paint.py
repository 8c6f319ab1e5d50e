"""What gets between a camera and a face: masks, sunglasses, hands, and the camera's own faults."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data_scenes import Faces

__all__ = ["Occluder", "degrade", "occlude"]

Occluder = Literal["mask", "glasses", "hand", "block"]

_SKIN = (
    (236, 188, 160),
    (198, 134, 98),
    (141, 85, 54),
    (92, 56, 38),
    (255, 219, 196),
    (60, 38, 28),
)


def occlude(
    rgb: NDArray[np.uint8],
    faces: Faces,
    rng: np.random.Generator,
    *,
    share_ratio: float,
    kind: Occluder | None = None,
) -> None:
    """Paint, in place, something over about ``share_ratio`` of the faces of ``rgb (H, W, 3)``.

    ``kind`` asks for one sort; without it the sorts are mixed.
    """
    for box, points, ignore in zip(faces.box_xyxy_px, faces.points_px, faces.ignore, strict=True):
        if ignore or rng.random() > share_ratio:
            continue
        pick = rng.random()
        sort = kind or ("mask" if pick < 0.42 else "glasses" if pick < 0.6 else "hand")
        if kind != "block" and np.isfinite(points).all() and (kind or pick < 0.8):
            _PAINTERS[sort](rgb, points, rng)
        elif kind in (None, "block"):
            _block_into(rgb, box, rng)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    if rng.random() < 0.45:  # surgical blues and whites, and black cloth, are what people wear
        base = ((172, 208, 226), (232, 236, 240), (24, 24, 28), (120, 160, 190))[
            int(rng.integers(4))
        ]
        shade = rng.normal(0, 10, 3) + np.array(base)
    else:
        shade = rng.uniform(10, 245, 3)
    return _triple(shade)


def _triple(values: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in np.clip(values, 0, 255))
    return red, green, blue


def _mask_into(
    rgb: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> None:
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down = mouth - eyes
    across = np.array([down[1], -down[0]]) * np.sign(down[1] * (points[1] - points[0])[0] + 1e-6)
    across = (points[1] - points[0]) * 0.5 + across * 0.3
    top = eyes + down * rng.uniform(0.3, 0.6)
    side, chin = rng.uniform(1.35, 1.9), rng.uniform(1.6, 1.95)
    outline = [
        top - across * side + down * 0.1,
        top - across * 0.4 - down * 0.12,
        top + across * 0.4 - down * 0.12,
        top + across * side + down * 0.1,
        mouth + across * side * 0.85,
        eyes + down * chin + across * 0.5,
        eyes + down * chin - across * 0.5,
        mouth - across * side * 0.85,
    ]
    colour = _colour(rng)
    polygon = np.array(outline, np.float32).round().astype(np.int32)
    cv2.fillPoly(rgb, [polygon], colour, lineType=cv2.LINE_AA)
    width = max(1, round(float(np.linalg.norm(across)) * 0.06))
    dark = _triple(np.array(colour) * rng.uniform(0.6, 0.95))
    for at in rng.uniform(0.15, 0.85, int(rng.integers(0, 4))):  # folds
        left, right = (
            top + (mouth - top) * at * 1.4 + across * sign * side * 0.8 for sign in (-1, 1)
        )
        cv2.line(rgb, _pixel(left), _pixel(right), dark, width, cv2.LINE_AA)
    if rng.random() < 0.5:  # ear loops
        for sign in (-1, 1):
            start, end = top + across * sign * side, eyes + across * sign * (side + 0.5)
            cv2.line(rgb, _pixel(start), _pixel(end), colour, width, cv2.LINE_AA)


def _pixel(point: NDArray[np.floating[Any]]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _glasses_into(
    rgb: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> None:
    gap = points[1] - points[0]
    width = float(np.linalg.norm(gap))
    angle = float(np.degrees(np.arctan2(gap[1], gap[0])))
    colour = _triple(rng.uniform(0, 60, 3))
    axes = (
        max(1, round(width * rng.uniform(0.3, 0.46))),
        max(1, round(width * rng.uniform(0.22, 0.38))),
    )
    for eye in points[:2]:
        cv2.ellipse(rgb, _pixel(eye), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
    thick = max(1, round(width * 0.08))
    cv2.line(
        rgb,
        _pixel(points[0] - gap * 0.6),
        _pixel(points[1] + gap * 0.6),
        colour,
        thick,
        cv2.LINE_AA,
    )


def _hand_into(
    rgb: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator
) -> None:
    width = float(np.linalg.norm(points[1] - points[0])) + float(
        np.linalg.norm(points[3] - points[0])
    )
    skin = np.array(_SKIN[int(rng.integers(len(_SKIN)))]) + rng.normal(0, 12, 3)
    target = points[int(rng.integers(5))] + rng.normal(0, 0.15, 2) * width
    angle = rng.uniform(0, 360)
    heading = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    normal = np.array([-heading[1], heading[0]])
    axes = (max(1, round(width * 0.32)), max(1, round(width * 0.085)))
    for finger in range(int(rng.integers(2, 5))):
        centre = (
            target
            + normal * width * 0.16 * (finger - 1.5)
            + heading * width * rng.uniform(0.0, 0.1)
        )
        cv2.ellipse(
            rgb,
            _pixel(centre),
            axes,
            angle,
            0,
            360,
            _triple(skin * rng.uniform(0.85, 1.05)),
            -1,
            cv2.LINE_AA,
        )
    palm = (max(1, round(width * 0.4)), max(1, round(width * 0.34)))
    cv2.ellipse(
        rgb,
        _pixel(target + heading * width * 0.55),
        palm,
        angle,
        0,
        360,
        _triple(skin),
        -1,
        cv2.LINE_AA,
    )


_PAINTERS = {"mask": _mask_into, "glasses": _glasses_into, "hand": _hand_into}


def _block_into(rgb: NDArray[np.uint8], box: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Hide up to 45 % of the face behind a piece of the picture itself or a plain block."""
    width, height = box[2] - box[0], box[3] - box[1]
    share = rng.uniform(0.15, 0.45)
    x1, y1, x2, y2 = box
    side = int(rng.integers(4))
    if side == 0:
        x2 = x1 + width * share
    elif side == 1:
        x1 = x2 - width * share
    elif side == 2:
        y1 = y2 - height * share
    else:
        y2 = y1 + height * share * 0.8
    left, top, right, bottom = (max(0, int(v)) for v in (x1, y1, x2, y2))
    target = rgb[top:bottom, left:right]
    if target.size == 0:
        return
    if rng.random() < 0.5:
        target[:] = np.array(_colour(rng), np.uint8)
        return
    limit_y, limit_x = rgb.shape[0] - target.shape[0], rgb.shape[1] - target.shape[1]
    y, x = int(rng.integers(limit_y + 1)), int(rng.integers(limit_x + 1))
    patch = rgb[y : y + target.shape[0], x : x + target.shape[1]].copy()
    target[:] = patch[::-1]


def degrade(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return ``rgb`` as a poor camera and a low bit rate would show it."""
    if rng.random() < 0.45:
        rgb = _light(rgb, rng)
    if rng.random() < 0.08:
        rgb = np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    pick = rng.random()
    if pick < 0.08:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.4, 1.8))), np.uint8)
    elif pick < 0.15:
        rgb = _motion(rgb, rng)
    elif pick < 0.27:
        height, width = rgb.shape[:2]
        factor = rng.uniform(0.35, 0.8)
        small = cv2.resize(
            rgb, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA
        )
        rgb = np.asarray(
            cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    if rng.random() < 0.15:
        noise = rng.standard_normal((rgb.shape[0], rgb.shape[1], 1), np.float32) * float(
            rng.uniform(2, 16)
        )
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(12, 90))
        _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return rgb


def _light(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gamma = float(np.exp(rng.normal(0, 0.35)))
    gain = (
        float(np.exp(rng.normal(-0.1, 0.3)))
        if rng.random() < 0.75
        else float(rng.uniform(0.12, 0.5))
    )
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * np.exp(rng.normal(0, 0.07, 3))
    lift = float(rng.uniform(0, 0.35)) if rng.random() < 0.15 else 0.0  # haze, fades from white
    table = np.clip((levels * (1 - lift) + lift) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table[None]), np.uint8)


def _motion(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = np.array([(length - 1) / 2] * 2)
    cv2.line(kernel, _pixel(middle - reach), _pixel(middle + reach), 1.0)
    return np.asarray(cv2.filter2D(rgb, -1, kernel / max(float(kernel.sum()), 1.0)), np.uint8)
