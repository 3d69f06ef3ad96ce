"""Expressions: their types, and their compilation to Python source."""

from __future__ import annotations

from ksqlite.expressions.api import Binding, Compiled, Environment, ErrorReporter, NoColumns, Scope, bind
from ksqlite.expressions.compiler import Compiler, evaluate, infer_type, to_function

__all__ = [
    "Binding",
    "Compiled",
    "Compiler",
    "Environment",
    "ErrorReporter",
    "NoColumns",
    "Scope",
    "bind",
    "evaluate",
    "infer_type",
    "to_function",
]
