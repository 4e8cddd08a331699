"""What a user's statement may do: read named tables, call named functions, stay small.

Everything else is refused, so a feature that a later SQLite brings is refused too.
"""

import sqlite3
from collections.abc import Callable

# Process-wide and only ever lowered, as SQLite has it. The ledger's own connections need a few MB.
HEAP_BYTES = 512 * 2**20
# A deadline cannot interrupt inside one step, so no step may be given more than this.
VALUE_BYTES = 1_000_000

# json_group_array and json_group_object are missing: they grow past every length limit.
_FUNCTIONS = """
-> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling changes char coalesce concat
concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
degrees dense_rank exp first_value floor format glob group_concat hex ifnull iif instr json
json_array json_array_length json_extract json_insert json_object json_patch json_quote
json_remove json_replace json_set json_type json_valid julianday lag last_value lead length like
likelihood likely ln log log10 log2 lower ltrim max min mod nth_value ntile nullif octet_length
percent_rank pi pow power printf quote radians random randomblob rank replace round row_number
rtrim sign sin sinh sqlite_version sqrt strftime string_agg substr substring sum tan tanh time
timediff total trim trunc typeof unhex unicode unixepoch unlikely upper zeroblob
"""
_ALLOWED = frozenset(_FUNCTIONS.split())

_SIZES = {
    sqlite3.SQLITE_LIMIT_LENGTH: VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_COLUMN: 256,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    # Matching takes the product of the lengths of text and pattern: 0.8 s with these two.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class Authorizer:
    """Answers SQLite's question, for each thing that a statement does, whether it may.

    `tables` are the names that may be read; `is_over` ends a statement that expands for too long
    before it runs. `refusal` is the sentence for the first thing refused.
    """

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self.refusal: str | None = None
        self.tables = {"sqlite_master", "sqlite_schema", "json_each", "json_tree"}
        self._is_over = is_over

    def __call__(
        self, action: int, first: str | None, second: str | None, *_where: str | None
    ) -> int:
        """Return SQLITE_OK or SQLITE_DENY."""
        if self._is_over():
            return sqlite3.SQLITE_DENY
        refusal = self._judge(action, first or "", second or "")
        self.refusal = self.refusal or refusal
        return sqlite3.SQLITE_OK if refusal is None else sqlite3.SQLITE_DENY

    def _judge(self, action: int, first: str, second: str) -> str | None:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return None
        if action == sqlite3.SQLITE_READ:
            # Without a column only the rows are counted, and the name may be that of a WITH.
            allowed = not second or first in self.tables
            return None if allowed else f"negspace sql cannot read {first}"
        if action == sqlite3.SQLITE_FUNCTION:
            allowed = second.lower() in _ALLOWED
            return None if allowed else f"negspace sql has no function {second}"
        if action == sqlite3.SQLITE_PRAGMA:
            return "negspace sql has no PRAGMA; --schema lists tables and columns"
        return "negspace sql only reads the tables and views of the store, by SELECT"


def limit_sizes(connection: sqlite3.Connection) -> None:
    """Limit the lengths of values, statements and patterns, and SQLite's heap."""
    connection.execute(f"PRAGMA hard_heap_limit = {HEAP_BYTES}")
    for category, size in _SIZES.items():
        connection.setlimit(category, size)
