"""How far are we from true unlearnability? SAL and UD of unlearnable examples."""
