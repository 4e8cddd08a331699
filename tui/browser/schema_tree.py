"""The tables and views with their columns, to look up and to write from."""

from collections.abc import Sequence

from rich.text import Text
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from store.printable import printable
from store.queries.browse_sql import SchemaTable


class SchemaTree(Tree[str]):
    """Views and tables; Enter on a column writes its name, Space on a table opens it."""

    auto_expand = False

    class NameChosen(Message):
        """A name is to be written."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Described(Message):
        """The cursor is on something that has a meaning."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__("tables", id=id)
        self.show_root = False
        self._names: dict[int, str] = {}

    def fill(self, tables: Sequence[SchemaTable]) -> None:
        """Show these tables in place of those before."""
        self.clear()
        self._names = {}
        branches = {kind: self.root.add(kind, expand=True) for kind in ("views", "tables")}
        for table in tables:
            self._add(branches["views" if table.is_view else "tables"], table)
        self.root.expand()

    def _add(self, branch: TreeNode[str], table: SchemaTable) -> None:
        node = branch.add(Text(printable(table.name)), data=f"{table.name}: {table.description}")
        self._names[node.id] = table.name
        for column in table.columns:
            text = f"{table.name}.{column.name}: {column.description}"
            leaf = node.add_leaf(Text(printable(column.name)), data=text)
            self._names[leaf.id] = column.name

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[str]) -> None:
        """Tell what it means."""
        event.stop()
        if event.node.data and self.has_focus:
            self.post_message(self.Described(event.node.data))

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        """Write the name of a table or column."""
        event.stop()
        if event.node.id in self._names:
            self.post_message(self.NameChosen(self._names[event.node.id]))
