"""What there is code for; the rest is named with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evogan.errors import UserError
from evogan.families import family_of
from evogan.genes import GENES
from evogan.genome import Genome

Genes = Mapping[str, Any]

# genes of which some values are written
VALUES: dict[str, tuple[Any, ...]] = {
    "backbone": (
        "mlp",
        "wdcgan",
        "infogan",
        "dcgan",
        "sndcgan",
        "gans_in_action",
        "improved_mlp",
        "resnet",
        "progressive",
        "stylegan",
        "autogan",
    ),
    "loss": (
        "minimax",
        "non_saturating",
        "maximum_likelihood",
        "least_squares",
        "wasserstein",
        "hinge",
        "f_divergence",
        "ebgan",
        "began",
    ),
    "generator_norm": ("batch", "layer", "instance", "group", "pixel", "none"),
    "critic_norm": ("batch", "layer", "instance", "group", "none"),
    "divergence": ("total_variation", "kl", "reverse_kl", "pearson", "neyman", "hellinger", "js", "gan"),
    "critic_constraint": ("none", "clip", "spectral_norm", "weight_norm"),
    "generator_constraint": ("none", "spectral_norm"),
    "critic_regularization": ("none", "l2", "orthogonal", "off_diagonal", "spectral_exact"),
    "generator_regularization": ("none", "l2", "orthogonal", "off_diagonal", "spectral_exact"),
    "style_truncation": (1.0,),
    "unrolled": (0,),
    "critic_long_steps": (0,),
}

# genes that are written whatever they are
ANY = frozenset(
    """
    family filters critic_filters mlp_layers sndcgan_form kernel_size strided_kernel first_side
    critic_downsampling upsampling slope generator_slope dropout hidden_noise generator_dropout attention
    hierarchical_latent critic_pooling critic_depth equalized_lr init init_std first_init latent latent_prior
    truncation relativistic ls_targets divergence_generator label_smoothing label_noise code margin
    pull_away began_gamma began_rate reconstruction_norm unrolled_rate evolution evolution_gamma
    feature_matching condition generator_label label_norm label_embedding critic_label wrong_label
    class_loss_real class_loss_fake class_loss_generator match_loss clip clipped constrained_head
    gradient_penalty gradient_penalty_weight zero_penalty zero_penalty_weight drift lecam
    critic_regularization_weight generator_regularization_weight jacobian_clamping jacobian_weight jacobian_low
    jacobian_high minibatch batch_size batch_ratio batch_divisor critic_steps critic_pretraining generator_steps
    learning_rate lr_ratio lr_decay critic_optimizer critic_rms_decay critic_beta1 critic_beta2 critic_momentum
    critic_gradient_clip generator_optimizer generator_rms_decay generator_beta1 generator_beta2
    generator_momentum generator_gradient_clip ema historical_averaging instance_noise input_noise augmentation
    mirror cell1_convolution cell1_norm cell1_upsampling cell1_shortcut cell2_convolution cell2_norm
    cell2_upsampling cell2_shortcut cell2_skip cell3_convolution cell3_norm cell3_upsampling cell3_shortcut
    cell3_skip growing growing_from critic_blur mapping_layers mapping_lr style_mixing style_truncated_levels
    mlp_widths critic_sigma critic_sigma_unit generator_sigma generator_sigma_unit js_weight
    """.split()
)

# with an evolving generator: what would be drawn, or paid, for each of its children, too
DRAWN = ("dropout", "hidden_noise", "generator_dropout", "instance_noise", "input_noise", "mirror", "jacobian_clamping")
EVOLVED_WITHOUT = (
    *("condition", "gradient_penalty", "zero_penalty", "augmentation", "feature_matching", "relativistic"),
    *("generator_regularization", "generator_constraint"),
)

# what does not go together
TOGETHER: tuple[tuple[Callable[[Genes], bool], str], ...] = (
    (
        lambda g: (
            g["equalized_lr"]
            and (
                g["critic_constraint"] == "clip"
                or any(g.get(f"{p}_regularization", "none") != "none" for p in ("critic", "generator"))
            )
        ),
        "clipped or regularised weights with equalized_lr",
    ),
    (
        lambda g: g["critic_constraint"] == "clip" and not g.get("constrained_head", True),
        "a clip of all layers but the last",
    ),
    (
        lambda g: g.get("label_norm", "none") != "none" and g["backbone"] in ("mlp", "infogan", "improved_mlp"),
        "conditional norms in dense layers",
    ),
    (
        lambda g: g.get("label_norm") == "per_class" and bool(g.get("hierarchical_latent")),
        "a hierarchical latent with norms per class",
    ),
    (
        lambda g: (
            bool(g.get("evolution"))
            and (
                any(
                    g.get(name, 0)
                    for name in (*DRAWN, "generator_gradient_clip", "historical_averaging", "label_noise")
                )
                or any(g.get(name, "none") not in ("none", "off") for name in EVOLVED_WITHOUT)
                or g["backbone"] == "stylegan"
            )
        ),
        "an evolving generator with classes, penalties, noise, dropout or weights that are held somewhere",
    ),
    (
        lambda g: (
            g["backbone"] == "stylegan"
            and (
                not g["equalized_lr"]
                or g.get("condition", "none") != "none"
                or g.get("generator_constraint", "none") != "none"
            )
        ),
        "StyleGAN with classes, without equalized_lr or with a constraint on its generator",
    ),
    (
        lambda g: g["backbone"] == "progressive" and g.get("label_norm", "none") != "none",
        "conditional norms in a growing generator",
    ),
    (
        lambda g: g["equalized_lr"] and not g.get("constrained_head", True),
        "a free head with equalized_lr",
    ),
    (
        lambda g: (
            g.get("init") == "orthogonal"
            and "spectral_exact" in (g["critic_regularization"], g["generator_regularization"])
        ),
        "spectral_exact of weights that begin orthogonal, where the largest singular value is not one alone",
    ),
    (
        lambda g: g["loss"] in ("ebgan", "began") and g["backbone"] in ("resnet", "autogan"),
        "a residual autoencoder",
    ),
)


def check_supported(genome: Genome) -> None:
    """Errors: UserError that names what no code is written for."""
    if (reason := unsupported(genome)) is not None:
        raise UserError(f"no code is written for {reason}")


def unsupported(genome: Genome) -> str | None:
    """What of it no code is written for, in a few words; None if it is."""
    if (family := family_of(genome).name) != "plain":
        return f"GANs of family '{family}'"
    if genome.changes:
        return "a schedule, whose genes change during the training"
    genes = GENES.complete(genome)
    for name, value in genes.items():
        known = value in VALUES[name] if name in VALUES else name in ANY
        if not known and value != GENES[name].default:
            return f"{name} = {value}"
    return next((reason for found, reason in TOGETHER if found(genes)), None)
