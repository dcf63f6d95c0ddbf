"""The image store: originals, renditions and heat maps in a folder or an object store."""
