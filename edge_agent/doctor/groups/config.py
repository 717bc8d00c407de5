"""The configuration: whether it can be used."""

from __future__ import annotations

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok
from edge_agent.doctor.patient import Patient
from edge_agent.errors import ConfigError


def valid(patient: Patient) -> Finding:
    """Syntax, keys, values and topic loops: all problems at once."""
    loaded = patient.loaded_config
    if isinstance(loaded, ConfigError):
        return error(loaded.problem, loaded.fix)
    return ok(f"{patient.config_file}")


CHECKS = (Check("config.valid", "syntax, keys, values, topic loops", valid),)
