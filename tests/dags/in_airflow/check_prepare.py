"""The script that prepares Airflow's metadata database; run by Airflow's Python."""

import importlib.util
import os
import unittest
from pathlib import Path
from unittest import mock

PATH = Path(__file__).resolve().parents[3] / "docker/airflow/prepare.py"


class Administrator(unittest.TestCase):
    """What Airflow's command line is told of the administrator."""

    def test_any_password_is_taken(self):
        """Generated passwords are of all letters, digits, - and _."""
        spec = importlib.util.spec_from_file_location("prepare", PATH)
        prepare = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(prepare)
        with (
            mock.patch.dict(os.environ, {"AIRFLOW_ADMIN_PASSWORD": "-p"}),
            mock.patch.object(prepare, "run") as run,
            mock.patch.object(prepare, "create_roles"),
        ):
            prepare.main()
        parsed = prepare.get_parser().parse_args(run.call_args.args)
        self.assertEqual(parsed.password, "-p")
