"""A stand-in for a supernet's evaluator."""


class ByGenes:
    """An accuracy of 0.5 to 0.9, the higher the smaller the genes; identities cost more."""

    fingerprint = "by-genes"

    def __init__(self):
        self.evaluated = 0

    def evaluate(self, genomes):
        self.evaluated += len(genomes)
        return 0.9 - 0.003 * genomes.sum(axis=1) - 0.03 * (genomes == 12).sum(axis=1)
