"""Griffe extensions for this project's sources: lazily imported names, and docstrings that describe several names."""

import ast
import re

import griffe


class LazyNames(griffe.Extension):
    """Names that a package imports by `scarlet_tf.lazy.later` are among its members."""

    def on_module_members(self, *, node, mod, agent, **kwargs):
        if not isinstance(node, ast.Module):
            return
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "later":
                for module, names in ast.literal_eval(call.args[1]).items():
                    for name in names:
                        alias = griffe.Alias(name, f"{module}.{name}", lineno=call.lineno, parent=mod)
                        mod.set_member(name, alias)
                        mod.imports[name] = f"{module}.{name}"


class SharedDescriptions(griffe.Extension):
    """An item "width, depth: ..." of a docstring is an item for each of the names."""

    def on_instance(self, *, obj, **kwargs):
        if not obj.is_alias and obj.docstring:
            obj.docstring.value = re.sub(
                r"^( +)(\w+(?:, \w+)+)(:.*(?:\n\1 +.*)*)",
                lambda item: "\n".join(f"{item[1]}{name}{item[3]}" for name in item[2].split(", ")),
                obj.docstring.value,
                flags=re.MULTILINE,
            )
