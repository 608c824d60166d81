"""The stand: the real parts that Matrix Hub works with, brought up on one machine."""
