"""The pages people look at: Jinja2 templates and static files, fed by what serve and rollup answer."""
