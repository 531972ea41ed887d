"""Body models on the View page: choice, import, and fit of bodies."""
