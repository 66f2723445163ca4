"""The tutorial runs, says what it measured beside what was claimed, and draws it."""

import glob
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import bed

PLOTS = {1: 1, 2: 1, 3: 3, 4: 2, 5: 4, 6: 1}


@bed.wants("numpy")
class Tutorial(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="cistern-tutorial-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.run_ = subprocess.run(
            [sys.executable, bed.source("docs/tutorial/notebook.py"), "--quick", "--out",
             cls.folder], capture_output=True, text=True, check=False, timeout=150)

    def test_every_part_prints_what_it_measured(self):
        said = self.run_.stdout
        self.assertEqual(self.run_.returncode, 0, said + self.run_.stderr)
        for words in ("== Part 1", "K and V of 32,768 tokens", "not recomputed",
                      "== Part 2", "Zipf", "== Part 3", "with the same answers", "a turn here",
                      "== Part 4", "get_prefix_similarity", "Random mantissas do not compress",
                      "== Part 5", "the notebook claimed", "== Part 6", "not in this version"):
            self.assertIn(words, said)

    def test_the_claims_that_are_arithmetic_come_out(self):
        rows = [line.split("  ") for line in self.run_.stdout.splitlines()]
        cells = {row[2].strip(): [cell.strip() for cell in row[3:] if cell.strip()]
                 for row in rows if len(row) > 3}
        self.assertEqual(cells["the notebook's"][-2:], ["256.0 KiB", "8.00 GiB"])
        self.assertEqual(cells["Llama-3.1-8B, GQA"][-1], "4.00 GiB")
        self.assertIn("True", cells["cache_kv, then get_cached_kv elsewhere"])

    def test_every_plot_is_a_picture(self):
        for part, count in PLOTS.items():
            plots = glob.glob(os.path.join(self.folder, f"part-{part}-*.svg"))
            self.assertEqual(len(plots), count, part)
            for plot in plots:
                root = xml.etree.ElementTree.parse(plot).getroot()
                width, height = float(root.get("width")), float(root.get("height"))
                bars = [node for node in root if node.tag.endswith("rect")]
                self.assertGreater(len(bars), 2)
                for bar in bars:
                    right = float(bar.get("x", 0)) + float(bar.get("width"))
                    bottom = float(bar.get("y", 0)) + float(bar.get("height"))
                    self.assertLessEqual((right, bottom), (width, bottom), plot)
                    self.assertLessEqual(bottom, height, plot)


if __name__ == "__main__":
    bed.main()
