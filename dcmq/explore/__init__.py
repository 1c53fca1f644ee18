"""The explorer: one looks at what rankers find, miss and have learnt, in a widget of JupyterLab. What is computed stands in
modules that know no widget; nothing is trained, measured for tables, or asked of the network here."""
