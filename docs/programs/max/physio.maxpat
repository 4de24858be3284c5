{
  "patcher": {
    "fileversion": 1,
    "rect": [100, 100, 520, 260],
    "boxes": [
      {"box": {"id": "receive", "maxclass": "newobj", "text": "udpreceive 9000",
        "numinlets": 1, "numoutlets": 1, "outlettype": [""],
        "patching_rect": [20, 20, 120, 22]}},
      {"box": {"id": "route", "maxclass": "newobj",
        "text": "route /physio/estimates/arousal /physio/estimates/arousal.missing",
        "numinlets": 1, "numoutlets": 3, "outlettype": ["", "", ""],
        "patching_rect": [20, 70, 440, 22]}},
      {"box": {"id": "arousal", "maxclass": "flonum", "numinlets": 1, "numoutlets": 2,
        "outlettype": ["", "bang"], "patching_rect": [20, 130, 80, 22]}},
      {"box": {"id": "missing", "maxclass": "newobj", "text": "print missing",
        "numinlets": 1, "numoutlets": 0, "patching_rect": [220, 130, 100, 22]}}
    ],
    "lines": [
      {"patchline": {"source": ["receive", 0], "destination": ["route", 0]}},
      {"patchline": {"source": ["route", 0], "destination": ["arousal", 0]}},
      {"patchline": {"source": ["route", 1], "destination": ["missing", 0]}}
    ]
  }
}
