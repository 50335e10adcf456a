"""An observer: the loss of each epoch, in the log."""

import logging

from textclf import EpochFinished


def textclf_event(event):
    if isinstance(event, EpochFinished):
        logging.getLogger("losses").info("epoch %s: loss %s", event.epoch, event.loss)
