"""Figures of Cao et al. 2021 (Tables 1 to 4), to stand beside ours; other data, other faces."""

from __future__ import annotations

from typing import Final

__all__ = ["IDENTITY", "QUALITY", "RECOVERY", "UTILITY"]

# Table 1: Id-dis / SR by the Face Recognition library at 0.6, on CelebA-HQ.
IDENTITY: Final = {
    "paper: DeepPrivacy": "0.746 / 0.939",
    "paper: Gu et al.": "0.822 / 0.961",
    "paper: its own": "0.792 / 0.975",
}

# Table 2: DR, then displacement of face, landmarks, eyes, nose, mouth in pixels of 256.
UTILITY: Final = {
    "paper: DeepPrivacy": ("1.0", "5.005", "2.506", "1.502", "1.799", "3.288"),
    "paper: Gu et al.": ("0.8585", "0.925", "2.346", "1.810", "1.906", "2.139"),
    "paper: its own": ("0.9973", "0.225", "1.969", "1.236", "1.546", "1.900"),
}

# Table 3: Id-dis / SR by the Face Recognition library.
RECOVERY: Final = {
    "paper: correct password": "0.228 / 0.035",
    "paper: wrong password": "0.794 / 0.904",
}

# Table 4: PSNR, SSIM, MAE (its LPIPS has no counterpart here).
QUALITY: Final = {
    "paper: blur": ("28.4", "0.802", "0.026"),
    "paper: pixelation": ("23.2", "0.671", "0.040"),
    "paper: noise": ("22.2", "0.701", "0.046"),
    "paper: Gu et al.": ("27.6", "0.827", "0.029"),
    "paper: its own": ("27.5", "0.902", "0.031"),
}
