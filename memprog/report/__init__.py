"""What a run found out, as frozen values that become JSON; their field names are an interface."""

from memprog.report.base import SCHEMA_VERSION, Report, plain
from memprog.report.characterise import CharacteriseReport
from memprog.report.check import CheckReport, CheckRow
from memprog.report.chip import ChipReport, ReadReport
from memprog.report.demo import DemoReport, DemoVariant
from memprog.report.failure import FailureReport
from memprog.report.figure import FigureReport
from memprog.report.fit import ProfileFitReport
from memprog.report.load import ExportedLayer, ExportReport, LoadReport
from memprog.report.noise import NoiseReport
from memprog.report.program import ProgramReport
from memprog.report.pulse import PulseReport
from memprog.report.runs import RunsReport
from memprog.report.sensing import IvReport, TraceReport
from memprog.report.status import StatusReport
from memprog.report.verify import VerifyReport

__all__ = [
    "SCHEMA_VERSION",
    "CharacteriseReport",
    "CheckReport",
    "CheckRow",
    "ChipReport",
    "DemoReport",
    "DemoVariant",
    "ExportReport",
    "ExportedLayer",
    "FailureReport",
    "FigureReport",
    "IvReport",
    "LoadReport",
    "NoiseReport",
    "ProfileFitReport",
    "ProgramReport",
    "PulseReport",
    "ReadReport",
    "Report",
    "RunsReport",
    "StatusReport",
    "TraceReport",
    "VerifyReport",
    "plain",
]
