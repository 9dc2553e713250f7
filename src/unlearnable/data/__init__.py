"""What is trained on: samples (`samples`), what they are made of (`modality`), and one file a source.

A source is a `DataModule`, most often an `ImageDataModule` (`module`); its file is named after it.
"""
