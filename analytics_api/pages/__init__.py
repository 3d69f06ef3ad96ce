"""Pages: figures for analysts and control for administrators, rendered here over the same services as REST.

`access`, `figures`, `admin_*` and `help` are the controllers; `view` renders; `sessions` knows the browser.
"""
