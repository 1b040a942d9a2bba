"""Replay known outcomes of two models: what would deferring to the expert have bought?"""
