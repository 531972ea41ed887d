"""Body models: shape, skinning and joints of people as meshes."""
