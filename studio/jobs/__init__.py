"""Long work as the window sees it: started in child processes, followed by files, shown in one panel."""
