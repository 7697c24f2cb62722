"""Griffe extension: names that a package imports lazily, by `scarlet_tf.lazy.later`, are among its members."""

import ast

import griffe


class LazyNames(griffe.Extension):
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
