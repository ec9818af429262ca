"""The commands about the model server and its models, without any documents."""
