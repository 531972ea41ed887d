"""Camera rigs as files of other programs: importers, exporters and the checks they share."""
