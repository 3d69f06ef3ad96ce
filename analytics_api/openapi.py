"""What OpenAPI says where litestar would not know: money is a number, tables come as CSV too."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition


class DecimalNumbers(OpenAPISchemaPlugin):
    """Decimals are written as JSON numbers (see `encoding`)."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:  # noqa: ANN401  (litestar's signature)
        """Whether it is Decimal."""
        return value is Decimal

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:  # noqa: ARG002  (litestar's signature)
        """A number with its exact digits."""
        return Schema(type=OpenAPIType.NUMBER, description="Exact decimal")


@dataclass
class TableOperation(Operation):
    """An operation that answers as CSV where that is asked for."""

    def __post_init__(self) -> None:
        """Say so beside JSON."""
        answer = (self.responses or {}).get("200")
        if isinstance(answer, OpenAPIResponse) and answer.content is not None:
            answer.content["text/csv"] = OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.STRING, description="A table with a header line, UTF-8 with a BOM")
            )
