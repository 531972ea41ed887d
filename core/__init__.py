"""SelfPose Studio without its window: everything the studio does can be done from here."""

__version__ = "0.1.0"
NAME = "selfpose-studio"
