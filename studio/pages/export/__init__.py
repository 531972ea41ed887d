"""Export page: write a 3D result in the formats of other tools."""

from studio.specs import PageSpec

PAGE = PageSpec(
    name="export",
    title="Export",
    summary="Files for other tools",
    icon="export",
    shortcut="Ctrl+5",
    factory="studio.pages.export.page:ExportPage",
    steps=("export",),
    guide=("Files for other tools: choose a result, formats, units and a folder."),
    verbs=("export",),
)
