"""SelfPose Studio without its window; all features of the studio are available from here."""

__version__ = "0.1.0"
NAME = "selfpose-studio"
