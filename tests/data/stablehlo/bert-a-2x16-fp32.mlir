module @reranker_2x16_fp32 {
  func.func public @main(
      %ids: tensor<2x16xi32>,
      %lengths: tensor<2xi32>,
      %segments: tensor<2x16xi32>,
      %words: tensor<300x32xf32>,
      %positions: tensor<512x32xf32>,
      %segment_table: tensor<2x32xf32>,
      %embedding_norm_gamma: tensor<32xf32>,
      %embedding_norm_beta: tensor<32xf32>,
      %block_0_query_weight: tensor<32x32xf32>,
      %block_0_query_bias: tensor<32xf32>,
      %block_0_key_weight: tensor<32x32xf32>,
      %block_0_key_bias: tensor<32xf32>,
      %block_0_value_weight: tensor<32x32xf32>,
      %block_0_value_bias: tensor<32xf32>,
      %block_0_attention_output_weight: tensor<32x32xf32>,
      %block_0_attention_output_bias: tensor<32xf32>,
      %block_0_attention_norm_gamma: tensor<32xf32>,
      %block_0_attention_norm_beta: tensor<32xf32>,
      %block_0_up_weight: tensor<64x32xf32>,
      %block_0_up_bias: tensor<64xf32>,
      %block_0_down_weight: tensor<32x64xf32>,
      %block_0_down_bias: tensor<32xf32>,
      %block_0_output_norm_gamma: tensor<32xf32>,
      %block_0_output_norm_beta: tensor<32xf32>,
      %block_1_query_weight: tensor<32x32xf32>,
      %block_1_query_bias: tensor<32xf32>,
      %block_1_key_weight: tensor<32x32xf32>,
      %block_1_key_bias: tensor<32xf32>,
      %block_1_value_weight: tensor<32x32xf32>,
      %block_1_value_bias: tensor<32xf32>,
      %block_1_attention_output_weight: tensor<32x32xf32>,
      %block_1_attention_output_bias: tensor<32xf32>,
      %block_1_attention_norm_gamma: tensor<32xf32>,
      %block_1_attention_norm_beta: tensor<32xf32>,
      %block_1_up_weight: tensor<64x32xf32>,
      %block_1_up_bias: tensor<64xf32>,
      %block_1_down_weight: tensor<32x64xf32>,
      %block_1_down_bias: tensor<32xf32>,
      %block_1_output_norm_gamma: tensor<32xf32>,
      %block_1_output_norm_beta: tensor<32xf32>,
      %head_dense_weight: tensor<32x32xf32>,
      %head_dense_bias: tensor<32xf32>,
      %head_output_weight: tensor<1x32xf32>,
      %head_output_bias: tensor<1xf32>
  ) -> tensor<2xf32> {
    // which tokens lie inside their sequences
    %mask_broadcast_0 = stablehlo.broadcast_in_dim %lengths, dims = [0] : (tensor<2xi32>) -> tensor<2x16xi32>
    %mask_iota_1 = stablehlo.iota dim = 1 : tensor<2x16xi32>
    %mask_compare_2 = stablehlo.compare LT, %mask_iota_1, %mask_broadcast_0, SIGNED : (tensor<2x16xi32>, tensor<2x16xi32>) -> tensor<2x16xi1>

    // embedding
    %embedding_rows_3 = "stablehlo.gather"(%words, %ids) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<300x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>
    %embedding_slice_4 = stablehlo.slice %positions [0:16, 0:32] : (tensor<512x32xf32>) -> tensor<16x32xf32>
    %embedding_broadcast_5 = stablehlo.broadcast_in_dim %embedding_slice_4, dims = [1, 2] : (tensor<16x32xf32>) -> tensor<2x16x32xf32>
    %embedding_add_6 = stablehlo.add %embedding_rows_3, %embedding_broadcast_5 : tensor<2x16x32xf32>
    %embedding_rows_7 = "stablehlo.gather"(%segment_table, %segments) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<2x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>
    %embedding_add_8 = stablehlo.add %embedding_add_6, %embedding_rows_7 : tensor<2x16x32xf32>
    %embedding_constant_9 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_10 = stablehlo.reduce(%embedding_add_8 init: %embedding_constant_9) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_11 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_12 = stablehlo.multiply %embedding_reduce_10, %embedding_constant_11 : tensor<2x16xf32>
    %embedding_broadcast_13 = stablehlo.broadcast_in_dim %embedding_multiply_12, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_subtract_14 = stablehlo.subtract %embedding_add_8, %embedding_broadcast_13 : tensor<2x16x32xf32>
    %embedding_multiply_15 = stablehlo.multiply %embedding_subtract_14, %embedding_subtract_14 : tensor<2x16x32xf32>
    %embedding_constant_16 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_17 = stablehlo.reduce(%embedding_multiply_15 init: %embedding_constant_16) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_18 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_19 = stablehlo.multiply %embedding_reduce_17, %embedding_constant_18 : tensor<2x16xf32>
    %embedding_constant_20 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %embedding_add_21 = stablehlo.add %embedding_multiply_19, %embedding_constant_20 : tensor<2x16xf32>
    %embedding_rsqrt_22 = stablehlo.rsqrt %embedding_add_21 : tensor<2x16xf32>
    %embedding_broadcast_23 = stablehlo.broadcast_in_dim %embedding_rsqrt_22, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_24 = stablehlo.multiply %embedding_subtract_14, %embedding_broadcast_23 : tensor<2x16x32xf32>
    %embedding_broadcast_25 = stablehlo.broadcast_in_dim %embedding_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_26 = stablehlo.multiply %embedding_multiply_24, %embedding_broadcast_25 : tensor<2x16x32xf32>
    %embedding_broadcast_27 = stablehlo.broadcast_in_dim %embedding_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_add_28 = stablehlo.add %embedding_multiply_26, %embedding_broadcast_27 : tensor<2x16x32xf32>

    // block 0: attention
    %b0_dot_29 = stablehlo.dot_general %embedding_add_28, %block_0_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_30 = stablehlo.broadcast_in_dim %block_0_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_31 = stablehlo.add %b0_dot_29, %b0_broadcast_30 : tensor<2x16x32xf32>
    %b0_reshape_32 = stablehlo.reshape %b0_add_31 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_33 = stablehlo.dot_general %embedding_add_28, %block_0_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_34 = stablehlo.broadcast_in_dim %block_0_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_35 = stablehlo.add %b0_dot_33, %b0_broadcast_34 : tensor<2x16x32xf32>
    %b0_reshape_36 = stablehlo.reshape %b0_add_35 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_37 = stablehlo.dot_general %embedding_add_28, %block_0_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_38 = stablehlo.broadcast_in_dim %block_0_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_39 = stablehlo.add %b0_dot_37, %b0_broadcast_38 : tensor<2x16x32xf32>
    %b0_reshape_40 = stablehlo.reshape %b0_add_39 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_41 = stablehlo.dot_general %b0_reshape_32, %b0_reshape_36, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b0_constant_42 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b0_multiply_43 = stablehlo.multiply %b0_dot_41, %b0_constant_42 : tensor<2x4x16x16xf32>
    %b0_broadcast_44 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b0_constant_45 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b0_broadcast_46 = stablehlo.broadcast_in_dim %b0_broadcast_44, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b0_select_47 = stablehlo.select %b0_broadcast_46, %b0_multiply_43, %b0_constant_45 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b0_constant_48 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b0_reduce_49 = stablehlo.reduce(%b0_select_47 init: %b0_constant_48) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_50 = stablehlo.broadcast_in_dim %b0_reduce_49, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_subtract_51 = stablehlo.subtract %b0_select_47, %b0_broadcast_50 : tensor<2x4x16x16xf32>
    %b0_exponential_52 = stablehlo.exponential %b0_subtract_51 : tensor<2x4x16x16xf32>
    %b0_constant_53 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_54 = stablehlo.reduce(%b0_exponential_52 init: %b0_constant_53) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_55 = stablehlo.broadcast_in_dim %b0_reduce_54, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_divide_56 = stablehlo.divide %b0_exponential_52, %b0_broadcast_55 : tensor<2x4x16x16xf32>
    %b0_dot_57 = stablehlo.dot_general %b0_divide_56, %b0_reshape_40, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b0_transpose_58 = stablehlo.transpose %b0_dot_57, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_reshape_59 = stablehlo.reshape %b0_transpose_58 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b0_dot_60 = stablehlo.dot_general %b0_reshape_59, %block_0_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_61 = stablehlo.broadcast_in_dim %block_0_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_62 = stablehlo.add %b0_dot_60, %b0_broadcast_61 : tensor<2x16x32xf32>
    %b0_add_63 = stablehlo.add %embedding_add_28, %b0_add_62 : tensor<2x16x32xf32>
    %b0_constant_64 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_65 = stablehlo.reduce(%b0_add_63 init: %b0_constant_64) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_66 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_67 = stablehlo.multiply %b0_reduce_65, %b0_constant_66 : tensor<2x16xf32>
    %b0_broadcast_68 = stablehlo.broadcast_in_dim %b0_multiply_67, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_69 = stablehlo.subtract %b0_add_63, %b0_broadcast_68 : tensor<2x16x32xf32>
    %b0_multiply_70 = stablehlo.multiply %b0_subtract_69, %b0_subtract_69 : tensor<2x16x32xf32>
    %b0_constant_71 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_72 = stablehlo.reduce(%b0_multiply_70 init: %b0_constant_71) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_73 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_74 = stablehlo.multiply %b0_reduce_72, %b0_constant_73 : tensor<2x16xf32>
    %b0_constant_75 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %b0_add_76 = stablehlo.add %b0_multiply_74, %b0_constant_75 : tensor<2x16xf32>
    %b0_rsqrt_77 = stablehlo.rsqrt %b0_add_76 : tensor<2x16xf32>
    %b0_broadcast_78 = stablehlo.broadcast_in_dim %b0_rsqrt_77, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_79 = stablehlo.multiply %b0_subtract_69, %b0_broadcast_78 : tensor<2x16x32xf32>
    %b0_broadcast_80 = stablehlo.broadcast_in_dim %block_0_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_81 = stablehlo.multiply %b0_multiply_79, %b0_broadcast_80 : tensor<2x16x32xf32>
    %b0_broadcast_82 = stablehlo.broadcast_in_dim %block_0_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_83 = stablehlo.add %b0_multiply_81, %b0_broadcast_82 : tensor<2x16x32xf32>

    // block 0: feed-forward
    %b0_dot_84 = stablehlo.dot_general %b0_add_83, %block_0_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<64x32xf32>) -> tensor<2x16x64xf32>
    %b0_broadcast_85 = stablehlo.broadcast_in_dim %block_0_up_bias, dims = [2] : (tensor<64xf32>) -> tensor<2x16x64xf32>
    %b0_add_86 = stablehlo.add %b0_dot_84, %b0_broadcast_85 : tensor<2x16x64xf32>
    %b0_constant_87 = stablehlo.constant dense<0.707106769> : tensor<2x16x64xf32>
    %b0_multiply_88 = stablehlo.multiply %b0_add_86, %b0_constant_87 : tensor<2x16x64xf32>
    %b0_abs_89 = stablehlo.abs %b0_multiply_88 : tensor<2x16x64xf32>
    %b0_constant_90 = stablehlo.constant dense<1.0> : tensor<2x16x64xf32>
    %b0_constant_91 = stablehlo.constant dense<0.327591091> : tensor<2x16x64xf32>
    %b0_multiply_92 = stablehlo.multiply %b0_abs_89, %b0_constant_91 : tensor<2x16x64xf32>
    %b0_add_93 = stablehlo.add %b0_constant_90, %b0_multiply_92 : tensor<2x16x64xf32>
    %b0_divide_94 = stablehlo.divide %b0_constant_90, %b0_add_93 : tensor<2x16x64xf32>
    %b0_constant_95 = stablehlo.constant dense<1.06140542> : tensor<2x16x64xf32>
    %b0_multiply_96 = stablehlo.multiply %b0_divide_94, %b0_constant_95 : tensor<2x16x64xf32>
    %b0_constant_97 = stablehlo.constant dense<-1.45315206> : tensor<2x16x64xf32>
    %b0_add_98 = stablehlo.add %b0_multiply_96, %b0_constant_97 : tensor<2x16x64xf32>
    %b0_multiply_99 = stablehlo.multiply %b0_add_98, %b0_divide_94 : tensor<2x16x64xf32>
    %b0_constant_100 = stablehlo.constant dense<1.42141378> : tensor<2x16x64xf32>
    %b0_add_101 = stablehlo.add %b0_multiply_99, %b0_constant_100 : tensor<2x16x64xf32>
    %b0_multiply_102 = stablehlo.multiply %b0_add_101, %b0_divide_94 : tensor<2x16x64xf32>
    %b0_constant_103 = stablehlo.constant dense<-0.284496725> : tensor<2x16x64xf32>
    %b0_add_104 = stablehlo.add %b0_multiply_102, %b0_constant_103 : tensor<2x16x64xf32>
    %b0_multiply_105 = stablehlo.multiply %b0_add_104, %b0_divide_94 : tensor<2x16x64xf32>
    %b0_constant_106 = stablehlo.constant dense<0.254829586> : tensor<2x16x64xf32>
    %b0_add_107 = stablehlo.add %b0_multiply_105, %b0_constant_106 : tensor<2x16x64xf32>
    %b0_multiply_108 = stablehlo.multiply %b0_add_107, %b0_divide_94 : tensor<2x16x64xf32>
    %b0_multiply_109 = stablehlo.multiply %b0_abs_89, %b0_abs_89 : tensor<2x16x64xf32>
    %b0_negate_110 = stablehlo.negate %b0_multiply_109 : tensor<2x16x64xf32>
    %b0_exponential_111 = stablehlo.exponential %b0_negate_110 : tensor<2x16x64xf32>
    %b0_multiply_112 = stablehlo.multiply %b0_multiply_108, %b0_exponential_111 : tensor<2x16x64xf32>
    %b0_subtract_113 = stablehlo.subtract %b0_constant_90, %b0_multiply_112 : tensor<2x16x64xf32>
    %b0_sign_114 = stablehlo.sign %b0_multiply_88 : tensor<2x16x64xf32>
    %b0_multiply_115 = stablehlo.multiply %b0_sign_114, %b0_subtract_113 : tensor<2x16x64xf32>
    %b0_constant_116 = stablehlo.constant dense<1.0> : tensor<2x16x64xf32>
    %b0_add_117 = stablehlo.add %b0_multiply_115, %b0_constant_116 : tensor<2x16x64xf32>
    %b0_constant_118 = stablehlo.constant dense<0.5> : tensor<2x16x64xf32>
    %b0_multiply_119 = stablehlo.multiply %b0_add_86, %b0_constant_118 : tensor<2x16x64xf32>
    %b0_multiply_120 = stablehlo.multiply %b0_multiply_119, %b0_add_117 : tensor<2x16x64xf32>
    %b0_dot_121 = stablehlo.dot_general %b0_multiply_120, %block_0_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x64xf32>, tensor<32x64xf32>) -> tensor<2x16x32xf32>
    %b0_broadcast_122 = stablehlo.broadcast_in_dim %block_0_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_123 = stablehlo.add %b0_dot_121, %b0_broadcast_122 : tensor<2x16x32xf32>
    %b0_add_124 = stablehlo.add %b0_add_83, %b0_add_123 : tensor<2x16x32xf32>
    %b0_constant_125 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_126 = stablehlo.reduce(%b0_add_124 init: %b0_constant_125) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_127 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_128 = stablehlo.multiply %b0_reduce_126, %b0_constant_127 : tensor<2x16xf32>
    %b0_broadcast_129 = stablehlo.broadcast_in_dim %b0_multiply_128, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_130 = stablehlo.subtract %b0_add_124, %b0_broadcast_129 : tensor<2x16x32xf32>
    %b0_multiply_131 = stablehlo.multiply %b0_subtract_130, %b0_subtract_130 : tensor<2x16x32xf32>
    %b0_constant_132 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_133 = stablehlo.reduce(%b0_multiply_131 init: %b0_constant_132) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_134 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_135 = stablehlo.multiply %b0_reduce_133, %b0_constant_134 : tensor<2x16xf32>
    %b0_constant_136 = stablehlo.constant dense<9.99999996e-13> : tensor<2x16xf32>
    %b0_add_137 = stablehlo.add %b0_multiply_135, %b0_constant_136 : tensor<2x16xf32>
    %b0_rsqrt_138 = stablehlo.rsqrt %b0_add_137 : tensor<2x16xf32>
    %b0_broadcast_139 = stablehlo.broadcast_in_dim %b0_rsqrt_138, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_140 = stablehlo.multiply %b0_subtract_130, %b0_broadcast_139 : tensor<2x16x32xf32>
    %b0_broadcast_141 = stablehlo.broadcast_in_dim %block_0_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_142 = stablehlo.multiply %b0_multiply_140, %b0_broadcast_141 : tensor<2x16x32xf32>
    %b0_broadcast_143 = stablehlo.broadcast_in_dim %block_0_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_add_144 = stablehlo.add %b0_multiply_142, %b0_broadcast_143 : tensor<2x16x32xf32>

    // block 1: attention
    %b1_slice_145 = stablehlo.slice %b0_add_144 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b1_dot_146 = stablehlo.dot_general %b1_slice_145, %block_1_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b1_broadcast_147 = stablehlo.broadcast_in_dim %block_1_query_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_148 = stablehlo.add %b1_dot_146, %b1_broadcast_147 : tensor<2x1x32xf32>
    %b1_reshape_149 = stablehlo.reshape %b1_add_148 : (tensor<2x1x32xf32>) -> tensor<2x1x4x8xf32>
    %b1_dot_150 = stablehlo.dot_general %b0_add_144, %block_1_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_151 = stablehlo.broadcast_in_dim %block_1_key_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_152 = stablehlo.add %b1_dot_150, %b1_broadcast_151 : tensor<2x16x32xf32>
    %b1_reshape_153 = stablehlo.reshape %b1_add_152 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_154 = stablehlo.dot_general %b0_add_144, %block_1_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_broadcast_155 = stablehlo.broadcast_in_dim %block_1_value_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_add_156 = stablehlo.add %b1_dot_154, %b1_broadcast_155 : tensor<2x16x32xf32>
    %b1_reshape_157 = stablehlo.reshape %b1_add_156 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_158 = stablehlo.dot_general %b1_reshape_149, %b1_reshape_153, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x1x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x16xf32>
    %b1_constant_159 = stablehlo.constant dense<0.353553385> : tensor<2x4x1x16xf32>
    %b1_multiply_160 = stablehlo.multiply %b1_dot_158, %b1_constant_159 : tensor<2x4x1x16xf32>
    %b1_slice_161 = stablehlo.slice %b0_broadcast_44 [0:2, 0:1, 0:16] : (tensor<2x16x16xi1>) -> tensor<2x1x16xi1>
    %b1_constant_162 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x1x16xf32>
    %b1_broadcast_163 = stablehlo.broadcast_in_dim %b1_slice_161, dims = [0, 2, 3] : (tensor<2x1x16xi1>) -> tensor<2x4x1x16xi1>
    %b1_select_164 = stablehlo.select %b1_broadcast_163, %b1_multiply_160, %b1_constant_162 : tensor<2x4x1x16xi1>, tensor<2x4x1x16xf32>
    %b1_constant_165 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b1_reduce_166 = stablehlo.reduce(%b1_select_164 init: %b1_constant_165) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_167 = stablehlo.broadcast_in_dim %b1_reduce_166, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_subtract_168 = stablehlo.subtract %b1_select_164, %b1_broadcast_167 : tensor<2x4x1x16xf32>
    %b1_exponential_169 = stablehlo.exponential %b1_subtract_168 : tensor<2x4x1x16xf32>
    %b1_constant_170 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_171 = stablehlo.reduce(%b1_exponential_169 init: %b1_constant_170) applies stablehlo.add across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b1_broadcast_172 = stablehlo.broadcast_in_dim %b1_reduce_171, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b1_divide_173 = stablehlo.divide %b1_exponential_169, %b1_broadcast_172 : tensor<2x4x1x16xf32>
    %b1_dot_174 = stablehlo.dot_general %b1_divide_173, %b1_reshape_157, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x1x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x8xf32>
    %b1_transpose_175 = stablehlo.transpose %b1_dot_174, dims = [0, 2, 1, 3] : (tensor<2x4x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b1_reshape_176 = stablehlo.reshape %b1_transpose_175 : (tensor<2x1x4x8xf32>) -> tensor<2x1x32xf32>
    %b1_dot_177 = stablehlo.dot_general %b1_reshape_176, %block_1_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b1_broadcast_178 = stablehlo.broadcast_in_dim %block_1_attention_output_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_179 = stablehlo.add %b1_dot_177, %b1_broadcast_178 : tensor<2x1x32xf32>
    %b1_slice_180 = stablehlo.slice %b0_add_144 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b1_add_181 = stablehlo.add %b1_slice_180, %b1_add_179 : tensor<2x1x32xf32>
    %b1_constant_182 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_183 = stablehlo.reduce(%b1_add_181 init: %b1_constant_182) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_184 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_185 = stablehlo.multiply %b1_reduce_183, %b1_constant_184 : tensor<2x1xf32>
    %b1_broadcast_186 = stablehlo.broadcast_in_dim %b1_multiply_185, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_subtract_187 = stablehlo.subtract %b1_add_181, %b1_broadcast_186 : tensor<2x1x32xf32>
    %b1_multiply_188 = stablehlo.multiply %b1_subtract_187, %b1_subtract_187 : tensor<2x1x32xf32>
    %b1_constant_189 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_190 = stablehlo.reduce(%b1_multiply_188 init: %b1_constant_189) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_191 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_192 = stablehlo.multiply %b1_reduce_190, %b1_constant_191 : tensor<2x1xf32>
    %b1_constant_193 = stablehlo.constant dense<9.99999996e-13> : tensor<2x1xf32>
    %b1_add_194 = stablehlo.add %b1_multiply_192, %b1_constant_193 : tensor<2x1xf32>
    %b1_rsqrt_195 = stablehlo.rsqrt %b1_add_194 : tensor<2x1xf32>
    %b1_broadcast_196 = stablehlo.broadcast_in_dim %b1_rsqrt_195, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_197 = stablehlo.multiply %b1_subtract_187, %b1_broadcast_196 : tensor<2x1x32xf32>
    %b1_broadcast_198 = stablehlo.broadcast_in_dim %block_1_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_199 = stablehlo.multiply %b1_multiply_197, %b1_broadcast_198 : tensor<2x1x32xf32>
    %b1_broadcast_200 = stablehlo.broadcast_in_dim %block_1_attention_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_201 = stablehlo.add %b1_multiply_199, %b1_broadcast_200 : tensor<2x1x32xf32>

    // block 1: feed-forward
    %b1_dot_202 = stablehlo.dot_general %b1_add_201, %block_1_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<64x32xf32>) -> tensor<2x1x64xf32>
    %b1_broadcast_203 = stablehlo.broadcast_in_dim %block_1_up_bias, dims = [2] : (tensor<64xf32>) -> tensor<2x1x64xf32>
    %b1_add_204 = stablehlo.add %b1_dot_202, %b1_broadcast_203 : tensor<2x1x64xf32>
    %b1_constant_205 = stablehlo.constant dense<0.707106769> : tensor<2x1x64xf32>
    %b1_multiply_206 = stablehlo.multiply %b1_add_204, %b1_constant_205 : tensor<2x1x64xf32>
    %b1_abs_207 = stablehlo.abs %b1_multiply_206 : tensor<2x1x64xf32>
    %b1_constant_208 = stablehlo.constant dense<1.0> : tensor<2x1x64xf32>
    %b1_constant_209 = stablehlo.constant dense<0.327591091> : tensor<2x1x64xf32>
    %b1_multiply_210 = stablehlo.multiply %b1_abs_207, %b1_constant_209 : tensor<2x1x64xf32>
    %b1_add_211 = stablehlo.add %b1_constant_208, %b1_multiply_210 : tensor<2x1x64xf32>
    %b1_divide_212 = stablehlo.divide %b1_constant_208, %b1_add_211 : tensor<2x1x64xf32>
    %b1_constant_213 = stablehlo.constant dense<1.06140542> : tensor<2x1x64xf32>
    %b1_multiply_214 = stablehlo.multiply %b1_divide_212, %b1_constant_213 : tensor<2x1x64xf32>
    %b1_constant_215 = stablehlo.constant dense<-1.45315206> : tensor<2x1x64xf32>
    %b1_add_216 = stablehlo.add %b1_multiply_214, %b1_constant_215 : tensor<2x1x64xf32>
    %b1_multiply_217 = stablehlo.multiply %b1_add_216, %b1_divide_212 : tensor<2x1x64xf32>
    %b1_constant_218 = stablehlo.constant dense<1.42141378> : tensor<2x1x64xf32>
    %b1_add_219 = stablehlo.add %b1_multiply_217, %b1_constant_218 : tensor<2x1x64xf32>
    %b1_multiply_220 = stablehlo.multiply %b1_add_219, %b1_divide_212 : tensor<2x1x64xf32>
    %b1_constant_221 = stablehlo.constant dense<-0.284496725> : tensor<2x1x64xf32>
    %b1_add_222 = stablehlo.add %b1_multiply_220, %b1_constant_221 : tensor<2x1x64xf32>
    %b1_multiply_223 = stablehlo.multiply %b1_add_222, %b1_divide_212 : tensor<2x1x64xf32>
    %b1_constant_224 = stablehlo.constant dense<0.254829586> : tensor<2x1x64xf32>
    %b1_add_225 = stablehlo.add %b1_multiply_223, %b1_constant_224 : tensor<2x1x64xf32>
    %b1_multiply_226 = stablehlo.multiply %b1_add_225, %b1_divide_212 : tensor<2x1x64xf32>
    %b1_multiply_227 = stablehlo.multiply %b1_abs_207, %b1_abs_207 : tensor<2x1x64xf32>
    %b1_negate_228 = stablehlo.negate %b1_multiply_227 : tensor<2x1x64xf32>
    %b1_exponential_229 = stablehlo.exponential %b1_negate_228 : tensor<2x1x64xf32>
    %b1_multiply_230 = stablehlo.multiply %b1_multiply_226, %b1_exponential_229 : tensor<2x1x64xf32>
    %b1_subtract_231 = stablehlo.subtract %b1_constant_208, %b1_multiply_230 : tensor<2x1x64xf32>
    %b1_sign_232 = stablehlo.sign %b1_multiply_206 : tensor<2x1x64xf32>
    %b1_multiply_233 = stablehlo.multiply %b1_sign_232, %b1_subtract_231 : tensor<2x1x64xf32>
    %b1_constant_234 = stablehlo.constant dense<1.0> : tensor<2x1x64xf32>
    %b1_add_235 = stablehlo.add %b1_multiply_233, %b1_constant_234 : tensor<2x1x64xf32>
    %b1_constant_236 = stablehlo.constant dense<0.5> : tensor<2x1x64xf32>
    %b1_multiply_237 = stablehlo.multiply %b1_add_204, %b1_constant_236 : tensor<2x1x64xf32>
    %b1_multiply_238 = stablehlo.multiply %b1_multiply_237, %b1_add_235 : tensor<2x1x64xf32>
    %b1_dot_239 = stablehlo.dot_general %b1_multiply_238, %block_1_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x64xf32>, tensor<32x64xf32>) -> tensor<2x1x32xf32>
    %b1_broadcast_240 = stablehlo.broadcast_in_dim %block_1_down_bias, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_241 = stablehlo.add %b1_dot_239, %b1_broadcast_240 : tensor<2x1x32xf32>
    %b1_add_242 = stablehlo.add %b1_add_201, %b1_add_241 : tensor<2x1x32xf32>
    %b1_constant_243 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_244 = stablehlo.reduce(%b1_add_242 init: %b1_constant_243) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_245 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_246 = stablehlo.multiply %b1_reduce_244, %b1_constant_245 : tensor<2x1xf32>
    %b1_broadcast_247 = stablehlo.broadcast_in_dim %b1_multiply_246, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_subtract_248 = stablehlo.subtract %b1_add_242, %b1_broadcast_247 : tensor<2x1x32xf32>
    %b1_multiply_249 = stablehlo.multiply %b1_subtract_248, %b1_subtract_248 : tensor<2x1x32xf32>
    %b1_constant_250 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_251 = stablehlo.reduce(%b1_multiply_249 init: %b1_constant_250) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b1_constant_252 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b1_multiply_253 = stablehlo.multiply %b1_reduce_251, %b1_constant_252 : tensor<2x1xf32>
    %b1_constant_254 = stablehlo.constant dense<9.99999996e-13> : tensor<2x1xf32>
    %b1_add_255 = stablehlo.add %b1_multiply_253, %b1_constant_254 : tensor<2x1xf32>
    %b1_rsqrt_256 = stablehlo.rsqrt %b1_add_255 : tensor<2x1xf32>
    %b1_broadcast_257 = stablehlo.broadcast_in_dim %b1_rsqrt_256, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_258 = stablehlo.multiply %b1_subtract_248, %b1_broadcast_257 : tensor<2x1x32xf32>
    %b1_broadcast_259 = stablehlo.broadcast_in_dim %block_1_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_multiply_260 = stablehlo.multiply %b1_multiply_258, %b1_broadcast_259 : tensor<2x1x32xf32>
    %b1_broadcast_261 = stablehlo.broadcast_in_dim %block_1_output_norm_beta, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b1_add_262 = stablehlo.add %b1_multiply_260, %b1_broadcast_261 : tensor<2x1x32xf32>

    // head
    %head_reshape_263 = stablehlo.reshape %b1_add_262 : (tensor<2x1x32xf32>) -> tensor<2x32xf32>
    %head_dot_264 = stablehlo.dot_general %head_reshape_263, %head_dense_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<32x32xf32>) -> tensor<2x32xf32>
    %head_broadcast_265 = stablehlo.broadcast_in_dim %head_dense_bias, dims = [1] : (tensor<32xf32>) -> tensor<2x32xf32>
    %head_add_266 = stablehlo.add %head_dot_264, %head_broadcast_265 : tensor<2x32xf32>
    %head_tanh_267 = stablehlo.tanh %head_add_266 : tensor<2x32xf32>
    %head_dot_268 = stablehlo.dot_general %head_tanh_267, %head_output_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<1x32xf32>) -> tensor<2x1xf32>
    %head_broadcast_269 = stablehlo.broadcast_in_dim %head_output_bias, dims = [1] : (tensor<1xf32>) -> tensor<2x1xf32>
    %head_add_270 = stablehlo.add %head_dot_268, %head_broadcast_269 : tensor<2x1xf32>
    %head_reshape_271 = stablehlo.reshape %head_add_270 : (tensor<2x1xf32>) -> tensor<2xf32>
    return %head_reshape_271 : tensor<2xf32>
  }
}
