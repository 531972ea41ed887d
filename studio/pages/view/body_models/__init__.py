"""Body models in the View page: choose one, add one, fit bodies with it."""
