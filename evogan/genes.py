"""The gene table: every gene the zoo understands. Plain data; nothing here builds a network."""

from __future__ import annotations

from evogan.genome import GeneTable, TableGene, Value

EDL = "Lanham, Evolutionary Deep Learning (2023), ch. 8-9"


def _optimizer_genes(player: str) -> list[TableGene]:
    optimizer = f"{player}_optimizer"

    def only(kind: Value) -> dict[str, tuple[Value, ...]]:
        return {optimizer: (kind,)}

    return [
        TableGene(
            name=optimizer,
            kind="choice",
            values=("rmsprop", "adam", "sgd"),
            default="rmsprop",
            meaning=f"optimiser of the {player}",
            source="WGAN, arXiv:1701.07875",
        ),
        TableGene(
            name=f"{player}_rms_decay",
            kind="float",
            low=0.0,
            high=0.9999,
            default=0.9,
            when=only("rmsprop"),
            meaning=f"decay of the {player}'s running mean of squared gradients",
            source="Keras' RMSprop",
        ),
        TableGene(
            name=f"{player}_beta1",
            kind="float",
            low=0.0,
            high=0.999,
            default=0.5,
            when=only("adam"),
            meaning=f"decay of the {player}'s first moment",
            source="DCGAN, arXiv:1511.06434",
        ),
        TableGene(
            name=f"{player}_beta2",
            kind="float",
            low=0.0,
            high=0.99999,
            default=0.999,
            when=only("adam"),
            meaning=f"decay of the {player}'s second moment",
            source="Adam, arXiv:1412.6980",
        ),
        TableGene(
            name=f"{player}_momentum",
            kind="float",
            low=0.0,
            high=0.999,
            default=0.0,
            when=only("sgd"),
            meaning=f"momentum of the {player}'s SGD",
        ),
    ]


GENES = GeneTable(
    [
        TableGene(
            name="backbone",
            kind="choice",
            values=("wdcgan",),
            default="wdcgan",
            meaning="the networks: wdcgan = upsample+conv generator, strided-conv critic",
            source=EDL,
        ),
        TableGene(
            name="loss",
            kind="choice",
            values=("wasserstein",),
            default="wasserstein",
            meaning="adversarial loss",
            source="WGAN, arXiv:1701.07875",
        ),
        TableGene(
            name="clip",
            kind="float",
            low=1e-4,
            high=10.0,
            scale="log",
            default=0.01,
            meaning="critic weights are clipped to [-clip, clip] after each critic step",
            source="WGAN, arXiv:1701.07875",
        ),
        TableGene(
            name="filters",
            kind="int",
            low=4,
            high=1024,
            scale="log",
            default=128,
            meaning="base width n: generator n, n, n/2; critic n/4, n/2, n, 2n channels",
            source=EDL,
        ),
        TableGene(
            name="kernel_size",
            kind="choice",
            values=(3, 5, 7),
            default=3,
            meaning="side of the convolution kernels in both networks",
            source=EDL,
        ),
        TableGene(
            name="upsampling",
            kind="choice",
            values=("nearest", "bilinear", "transposed", "pixel_shuffle"),
            default="nearest",
            meaning="how the generator doubles the image: resize then convolve, transposed or sub-pixel conv",
            source="Odena et al., Distill 2016; arXiv:1609.05158",
        ),
        TableGene(
            name="slope",
            kind="float",
            low=0.0,
            high=1.0,
            default=0.2,
            meaning="negative slope (alpha) of the critic's leaky ReLU",
            source=EDL,
        ),
        TableGene(
            name="dropout",
            kind="float",
            low=0.0,
            high=0.9,
            default=0.25,
            meaning="share of the critic's activations dropped after each block",
            source=EDL,
        ),
        TableGene(
            name="generator_norm",
            kind="choice",
            values=("batch", "instance", "none"),
            default="batch",
            meaning="normalisation in the generator",
            source=EDL,
        ),
        TableGene(
            name="critic_norm",
            kind="choice",
            values=("batch", "layer", "instance", "none"),
            default="batch",
            meaning="normalisation in the critic",
            source=EDL,
        ),
        TableGene(
            name="init_std",
            kind="float",
            low=1e-4,
            high=1.0,
            scale="log",
            default=0.02,
            meaning="standard deviation of the initial weights, N(0, init_std)",
            source="DCGAN, arXiv:1511.06434",
        ),
        TableGene(
            name="latent",
            kind="int",
            low=1,
            high=1024,
            scale="log",
            default=100,
            meaning="size of the latent vector",
            source=EDL,
        ),
        TableGene(
            name="latent_prior",
            kind="choice",
            values=("normal", "uniform"),
            default="normal",
            meaning="distribution of the latent vector: N(0, 1) or U(-1, 1)",
            source=EDL,
        ),
        TableGene(
            name="batch_size",
            kind="int",
            low=2,
            high=1024,
            scale="log",
            default=64,
            meaning="images per step",
            source=EDL,
        ),
        TableGene(
            name="critic_steps",
            kind="int",
            low=1,
            high=100,
            default=5,
            meaning="critic steps per generator step (n_critic)",
            source="WGAN, arXiv:1701.07875",
        ),
        TableGene(
            name="learning_rate",
            kind="float",
            low=1e-8,
            high=1.0,
            scale="log",
            default=5e-5,
            meaning="learning rate of the critic",
            source="WGAN, arXiv:1701.07875",
        ),
        TableGene(
            name="lr_ratio",
            kind="float",
            low=0.01,
            high=100.0,
            scale="log",
            default=1.0,
            meaning="the generator's learning rate over the critic's",
            source="TTUR, arXiv:1706.08500",
        ),
        *_optimizer_genes("critic"),
        *_optimizer_genes("generator"),
        TableGene(
            name="ema",
            kind="float",
            low=0.0,
            high=0.99999,
            default=0.0,
            meaning="decay of the generator's moving average that samples are drawn from, "
            "min(ema, (1 + t)/(10 + t)) at step t; 0 = off",
            source="PGGAN, arXiv:1710.10196",
        ),
    ]
)
