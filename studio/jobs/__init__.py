"""Jobs of the window: started as child processes, followed through their files, shown in one panel."""
