"""Network input: frames scaled to a canvas, from RGB or straight from I420 planes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array, require_array

__all__ = [
    "Letterbox",
    "fit_free",
    "fit_inside",
    "i420_to_canvas",
    "padded_to_multiple",
    "rgb_to_canvas",
    "to_tensor",
]

_MULTIPLE = 32
_PAD_Y = 127  # the padding is mid-grey, zero after normalisation


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a frame sits in the canvas: scaled to ``content_hw`` at the top left, grey elsewhere.

    Attributes:
        frame_hw: size of the frame, pixels.
        content_hw: size of the scaled frame, pixels, even.
        canvas_hw: size of the network input, pixels.
    """

    frame_hw: tuple[int, int]
    content_hw: tuple[int, int]
    canvas_hw: tuple[int, int]

    @property
    def factor_xy(self) -> Float32Array:
        """Canvas pixels per frame pixel, ``(2,)``: x, y."""
        height, width = self.frame_hw
        return np.array([self.content_hw[1] / width, self.content_hw[0] / height], np.float32)


def fit_free(frame_hw: tuple[int, int], *, long_side_px: int, most_enlarged: float) -> Letterbox:
    """Scale the longer side to ``long_side_px``; the canvas is rounded up to multiples of 32.

    Args:
        frame_hw: size of the frame.
        long_side_px: wanted length of the longer side.
        most_enlarged: small frames are enlarged by no more than this factor.
    """
    scale = min(long_side_px / max(frame_hw), most_enlarged)
    content = _even(frame_hw, scale)
    canvas = (-(-content[0] // _MULTIPLE) * _MULTIPLE, -(-content[1] // _MULTIPLE) * _MULTIPLE)
    return Letterbox(frame_hw, content, canvas)


def fit_inside(frame_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> Letterbox:
    """Scale a frame into a canvas whose size is fixed."""
    scale = min(canvas_hw[0] / frame_hw[0], canvas_hw[1] / frame_hw[1])
    height, width = _even(frame_hw, scale)
    content = (min(height, canvas_hw[0]), min(width, canvas_hw[1]))
    return Letterbox(frame_hw, content, canvas_hw)


def _even(frame_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    # Even sizes, so that the half-size chroma planes of I420 fit.
    height, width = (max(2, round(side * scale / 2) * 2) for side in frame_hw)
    return height, width


def rgb_to_canvas(frame_rgb: UInt8Array, box: Letterbox) -> UInt8Array:
    """Scale ``frame_rgb (H, W, 3) uint8`` into a new ``(canvas_h, canvas_w, 3)`` canvas."""
    require_array("frame_rgb", frame_rgb, (*box.frame_hw, 3), np.uint8)
    return _padded(_scaled(frame_rgb, box.content_hw), box)


def i420_to_canvas(frame_i420: UInt8Array, box: Letterbox) -> UInt8Array:
    """Scale the planes of ``frame_i420 (3H/2, W) uint8`` first and convert only the small picture.

    Several times cheaper than converting a 1080p frame.  The planes are read as BT.601 limited
    range whatever the frame says: the tint this leaves on other material does not matter to a
    detector that was trained under all kinds of light.
    """
    height, width = box.frame_hw
    require_array("frame_i420", frame_i420, (height * 3 // 2, width), np.uint8)
    if height % 2 or width % 2:
        raise ValueError(f"frame_i420: an I420 frame has even sides, got {width}x{height}")
    small_h, small_w = box.content_hw
    flat = frame_i420.reshape(-1)
    luma_px, chroma_px = height * width, height * width // 4
    packed = np.empty((small_h * 3 // 2, small_w), np.uint8)
    packed[:small_h] = _scaled(frame_i420[:height], box.content_hw)
    chroma = packed[small_h:].reshape(2, small_h // 2, small_w // 2)
    for plane in range(2):
        start = luma_px + plane * chroma_px
        source = flat[start : start + chroma_px].reshape(height // 2, width // 2)
        chroma[plane] = _scaled(source, (small_h // 2, small_w // 2))
    canvas = _canvas(box.content_hw, box.canvas_hw)
    # Straight into its place, which saves a picture and its copy.
    cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420, dst=canvas[:small_h, :small_w])
    return canvas


def _scaled(plane: UInt8Array, size_hw: tuple[int, int]) -> UInt8Array:
    if plane.shape[:2] == size_hw:
        return plane
    # Averaging keeps small faces from dissolving into alias patterns; it cannot enlarge.
    shrinks = size_hw[0] < plane.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (size_hw[1], size_hw[0]), interpolation=how), np.uint8)


def _padded(content: UInt8Array, box: Letterbox) -> UInt8Array:
    if box.content_hw == box.canvas_hw:
        return content
    canvas = _canvas(box.content_hw, box.canvas_hw)
    canvas[: content.shape[0], : content.shape[1]] = content
    return canvas


def _canvas(content_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> UInt8Array:
    """A picture that is grey where no content comes; the rest is not set yet."""
    canvas = np.empty((*canvas_hw, 3), np.uint8)
    canvas[content_hw[0] :] = _PAD_Y
    canvas[: content_hw[0], content_hw[1] :] = _PAD_Y
    return canvas


def padded_to_multiple(content: UInt8Array) -> UInt8Array:
    """Pad ``(H, W, 3) uint8`` right and below with grey to sides that are multiples of 32."""
    height, width = (-(-side // _MULTIPLE) * _MULTIPLE for side in content.shape[:2])
    if (height, width) == content.shape[:2]:
        return content
    canvas = _canvas((content.shape[0], content.shape[1]), (height, width))
    canvas[: content.shape[0], : content.shape[1]] = content
    return canvas


def to_tensor(canvases: list[UInt8Array], *, mean: float, std: float) -> Float32Array:
    """Stack equal ``(H, W, 3)`` canvases into ``(N, 3, H, W) float32``, normalised."""
    batch = np.empty((len(canvases), 3, *canvases[0].shape[:2]), np.float32)
    gain, shift = 1.0 / std, -mean / std
    for index, canvas in enumerate(canvases):
        # Planes first: half the time of reading every third byte.
        for channel, plane in enumerate(cv2.split(canvas)):
            target = batch[index, channel]
            cv2.addWeighted(plane, gain, plane, 0.0, shift, dst=target, dtype=cv2.CV_32F)
    return batch
