module @reranker_2x16_fp32 {
  func.func public @main(
      %ids: tensor<2x16xi32>,
      %lengths: tensor<2xi32>,
      %words: tensor<450x32xf32>,
      %embedding_norm_gamma: tensor<32xf32>,
      %block_0_query_weight: tensor<32x32xf32>,
      %block_0_key_weight: tensor<32x32xf32>,
      %block_0_value_weight: tensor<32x32xf32>,
      %rope_0_cosines: tensor<512x4xf32>,
      %rope_0_sines: tensor<512x4xf32>,
      %block_0_attention_output_weight: tensor<32x32xf32>,
      %block_0_output_norm_gamma: tensor<32xf32>,
      %block_0_up_weight: tensor<48x32xf32>,
      %block_0_gate_weight: tensor<48x32xf32>,
      %block_0_down_weight: tensor<32x48xf32>,
      %block_1_attention_norm_gamma: tensor<32xf32>,
      %block_1_query_weight: tensor<32x32xf32>,
      %block_1_key_weight: tensor<32x32xf32>,
      %block_1_value_weight: tensor<32x32xf32>,
      %rope_1_cosines: tensor<512x4xf32>,
      %rope_1_sines: tensor<512x4xf32>,
      %block_1_attention_output_weight: tensor<32x32xf32>,
      %block_1_output_norm_gamma: tensor<32xf32>,
      %block_1_up_weight: tensor<48x32xf32>,
      %block_1_gate_weight: tensor<48x32xf32>,
      %block_1_down_weight: tensor<32x48xf32>,
      %block_2_attention_norm_gamma: tensor<32xf32>,
      %block_2_query_weight: tensor<32x32xf32>,
      %block_2_key_weight: tensor<32x32xf32>,
      %block_2_value_weight: tensor<32x32xf32>,
      %block_2_attention_output_weight: tensor<32x32xf32>,
      %block_2_output_norm_gamma: tensor<32xf32>,
      %block_2_up_weight: tensor<48x32xf32>,
      %block_2_gate_weight: tensor<48x32xf32>,
      %block_2_down_weight: tensor<32x48xf32>,
      %block_3_attention_norm_gamma: tensor<32xf32>,
      %block_3_query_weight: tensor<32x32xf32>,
      %block_3_key_weight: tensor<32x32xf32>,
      %block_3_value_weight: tensor<32x32xf32>,
      %block_3_attention_output_weight: tensor<32x32xf32>,
      %block_3_output_norm_gamma: tensor<32xf32>,
      %block_3_up_weight: tensor<48x32xf32>,
      %block_3_gate_weight: tensor<48x32xf32>,
      %block_3_down_weight: tensor<32x48xf32>,
      %block_4_attention_norm_gamma: tensor<32xf32>,
      %block_4_query_weight: tensor<32x32xf32>,
      %block_4_key_weight: tensor<32x32xf32>,
      %block_4_value_weight: tensor<32x32xf32>,
      %block_4_attention_output_weight: tensor<32x32xf32>,
      %block_4_output_norm_gamma: tensor<32xf32>,
      %block_4_up_weight: tensor<48x32xf32>,
      %block_4_gate_weight: tensor<48x32xf32>,
      %block_4_down_weight: tensor<32x48xf32>,
      %final_norm_gamma: tensor<32xf32>,
      %head_dense_weight: tensor<32x32xf32>,
      %head_norm_gamma: tensor<32xf32>,
      %head_output_weight: tensor<1x32xf32>,
      %head_output_bias: tensor<1xf32>
  ) -> tensor<2xf32> {
    // which tokens lie inside their sequences
    %mask_broadcast_0 = stablehlo.broadcast_in_dim %lengths, dims = [0] : (tensor<2xi32>) -> tensor<2x16xi32>
    %mask_iota_1 = stablehlo.iota dim = 1 : tensor<2x16xi32>
    %mask_compare_2 = stablehlo.compare LT, %mask_iota_1, %mask_broadcast_0, SIGNED : (tensor<2x16xi32>, tensor<2x16xi32>) -> tensor<2x16xi1>

    // embedding
    %embedding_rows_3 = "stablehlo.gather"(%words, %ids) {dimension_numbers = #stablehlo.gather<offset_dims = [2], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 2>, slice_sizes = array<i64: 1, 32>, indices_are_sorted = false} : (tensor<450x32xf32>, tensor<2x16xi32>) -> tensor<2x16x32xf32>
    %embedding_constant_4 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_5 = stablehlo.reduce(%embedding_rows_3 init: %embedding_constant_4) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_6 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_7 = stablehlo.multiply %embedding_reduce_5, %embedding_constant_6 : tensor<2x16xf32>
    %embedding_broadcast_8 = stablehlo.broadcast_in_dim %embedding_multiply_7, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_subtract_9 = stablehlo.subtract %embedding_rows_3, %embedding_broadcast_8 : tensor<2x16x32xf32>
    %embedding_multiply_10 = stablehlo.multiply %embedding_subtract_9, %embedding_subtract_9 : tensor<2x16x32xf32>
    %embedding_constant_11 = stablehlo.constant dense<0.0> : tensor<f32>
    %embedding_reduce_12 = stablehlo.reduce(%embedding_multiply_10 init: %embedding_constant_11) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %embedding_constant_13 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %embedding_multiply_14 = stablehlo.multiply %embedding_reduce_12, %embedding_constant_13 : tensor<2x16xf32>
    %embedding_constant_15 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %embedding_add_16 = stablehlo.add %embedding_multiply_14, %embedding_constant_15 : tensor<2x16xf32>
    %embedding_rsqrt_17 = stablehlo.rsqrt %embedding_add_16 : tensor<2x16xf32>
    %embedding_broadcast_18 = stablehlo.broadcast_in_dim %embedding_rsqrt_17, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_19 = stablehlo.multiply %embedding_subtract_9, %embedding_broadcast_18 : tensor<2x16x32xf32>
    %embedding_broadcast_20 = stablehlo.broadcast_in_dim %embedding_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %embedding_multiply_21 = stablehlo.multiply %embedding_multiply_19, %embedding_broadcast_20 : tensor<2x16x32xf32>

    // block 0: attention
    %b0_dot_22 = stablehlo.dot_general %embedding_multiply_21, %block_0_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_reshape_23 = stablehlo.reshape %b0_dot_22 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_24 = stablehlo.dot_general %embedding_multiply_21, %block_0_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_reshape_25 = stablehlo.reshape %b0_dot_24 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_26 = stablehlo.dot_general %embedding_multiply_21, %block_0_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_reshape_27 = stablehlo.reshape %b0_dot_26 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b0_slice_28 = stablehlo.slice %rope_0_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b0_broadcast_29 = stablehlo.broadcast_in_dim %b0_slice_28, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_30 = stablehlo.slice %rope_0_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b0_broadcast_31 = stablehlo.broadcast_in_dim %b0_slice_30, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_32 = stablehlo.slice %b0_reshape_23 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_33 = stablehlo.slice %b0_reshape_23 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b0_multiply_34 = stablehlo.multiply %b0_slice_33, %b0_broadcast_31 : tensor<2x16x4x4xf32>
    %b0_multiply_35 = stablehlo.multiply %b0_slice_32, %b0_broadcast_29 : tensor<2x16x4x4xf32>
    %b0_subtract_36 = stablehlo.subtract %b0_multiply_35, %b0_multiply_34 : tensor<2x16x4x4xf32>
    %b0_multiply_37 = stablehlo.multiply %b0_slice_32, %b0_broadcast_31 : tensor<2x16x4x4xf32>
    %b0_multiply_38 = stablehlo.multiply %b0_slice_33, %b0_broadcast_29 : tensor<2x16x4x4xf32>
    %b0_add_39 = stablehlo.add %b0_multiply_38, %b0_multiply_37 : tensor<2x16x4x4xf32>
    %b0_concatenate_40 = stablehlo.concatenate %b0_subtract_36, %b0_add_39, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b0_slice_41 = stablehlo.slice %rope_0_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b0_broadcast_42 = stablehlo.broadcast_in_dim %b0_slice_41, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_43 = stablehlo.slice %rope_0_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b0_broadcast_44 = stablehlo.broadcast_in_dim %b0_slice_43, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_45 = stablehlo.slice %b0_reshape_25 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b0_slice_46 = stablehlo.slice %b0_reshape_25 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b0_multiply_47 = stablehlo.multiply %b0_slice_46, %b0_broadcast_44 : tensor<2x16x4x4xf32>
    %b0_multiply_48 = stablehlo.multiply %b0_slice_45, %b0_broadcast_42 : tensor<2x16x4x4xf32>
    %b0_subtract_49 = stablehlo.subtract %b0_multiply_48, %b0_multiply_47 : tensor<2x16x4x4xf32>
    %b0_multiply_50 = stablehlo.multiply %b0_slice_45, %b0_broadcast_44 : tensor<2x16x4x4xf32>
    %b0_multiply_51 = stablehlo.multiply %b0_slice_46, %b0_broadcast_42 : tensor<2x16x4x4xf32>
    %b0_add_52 = stablehlo.add %b0_multiply_51, %b0_multiply_50 : tensor<2x16x4x4xf32>
    %b0_concatenate_53 = stablehlo.concatenate %b0_subtract_49, %b0_add_52, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b0_dot_54 = stablehlo.dot_general %b0_concatenate_40, %b0_concatenate_53, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b0_constant_55 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b0_multiply_56 = stablehlo.multiply %b0_dot_54, %b0_constant_55 : tensor<2x4x16x16xf32>
    %b0_broadcast_57 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b0_constant_58 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b0_broadcast_59 = stablehlo.broadcast_in_dim %b0_broadcast_57, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b0_select_60 = stablehlo.select %b0_broadcast_59, %b0_multiply_56, %b0_constant_58 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b0_constant_61 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b0_reduce_62 = stablehlo.reduce(%b0_select_60 init: %b0_constant_61) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_63 = stablehlo.broadcast_in_dim %b0_reduce_62, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_subtract_64 = stablehlo.subtract %b0_select_60, %b0_broadcast_63 : tensor<2x4x16x16xf32>
    %b0_exponential_65 = stablehlo.exponential %b0_subtract_64 : tensor<2x4x16x16xf32>
    %b0_constant_66 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_67 = stablehlo.reduce(%b0_exponential_65 init: %b0_constant_66) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b0_broadcast_68 = stablehlo.broadcast_in_dim %b0_reduce_67, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b0_divide_69 = stablehlo.divide %b0_exponential_65, %b0_broadcast_68 : tensor<2x4x16x16xf32>
    %b0_dot_70 = stablehlo.dot_general %b0_divide_69, %b0_reshape_27, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b0_transpose_71 = stablehlo.transpose %b0_dot_70, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b0_reshape_72 = stablehlo.reshape %b0_transpose_71 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b0_dot_73 = stablehlo.dot_general %b0_reshape_72, %block_0_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b0_add_74 = stablehlo.add %embedding_multiply_21, %b0_dot_73 : tensor<2x16x32xf32>

    // block 0: feed-forward
    %b0_constant_75 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_76 = stablehlo.reduce(%b0_add_74 init: %b0_constant_75) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_77 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_78 = stablehlo.multiply %b0_reduce_76, %b0_constant_77 : tensor<2x16xf32>
    %b0_broadcast_79 = stablehlo.broadcast_in_dim %b0_multiply_78, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_subtract_80 = stablehlo.subtract %b0_add_74, %b0_broadcast_79 : tensor<2x16x32xf32>
    %b0_multiply_81 = stablehlo.multiply %b0_subtract_80, %b0_subtract_80 : tensor<2x16x32xf32>
    %b0_constant_82 = stablehlo.constant dense<0.0> : tensor<f32>
    %b0_reduce_83 = stablehlo.reduce(%b0_multiply_81 init: %b0_constant_82) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b0_constant_84 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b0_multiply_85 = stablehlo.multiply %b0_reduce_83, %b0_constant_84 : tensor<2x16xf32>
    %b0_constant_86 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b0_add_87 = stablehlo.add %b0_multiply_85, %b0_constant_86 : tensor<2x16xf32>
    %b0_rsqrt_88 = stablehlo.rsqrt %b0_add_87 : tensor<2x16xf32>
    %b0_broadcast_89 = stablehlo.broadcast_in_dim %b0_rsqrt_88, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_90 = stablehlo.multiply %b0_subtract_80, %b0_broadcast_89 : tensor<2x16x32xf32>
    %b0_broadcast_91 = stablehlo.broadcast_in_dim %block_0_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b0_multiply_92 = stablehlo.multiply %b0_multiply_90, %b0_broadcast_91 : tensor<2x16x32xf32>
    %b0_dot_93 = stablehlo.dot_general %b0_multiply_92, %block_0_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b0_dot_94 = stablehlo.dot_general %b0_multiply_92, %block_0_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b0_constant_95 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b0_multiply_96 = stablehlo.multiply %b0_dot_94, %b0_constant_95 : tensor<2x16x48xf32>
    %b0_abs_97 = stablehlo.abs %b0_multiply_96 : tensor<2x16x48xf32>
    %b0_constant_98 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b0_constant_99 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b0_multiply_100 = stablehlo.multiply %b0_abs_97, %b0_constant_99 : tensor<2x16x48xf32>
    %b0_add_101 = stablehlo.add %b0_constant_98, %b0_multiply_100 : tensor<2x16x48xf32>
    %b0_divide_102 = stablehlo.divide %b0_constant_98, %b0_add_101 : tensor<2x16x48xf32>
    %b0_constant_103 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b0_multiply_104 = stablehlo.multiply %b0_divide_102, %b0_constant_103 : tensor<2x16x48xf32>
    %b0_constant_105 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b0_add_106 = stablehlo.add %b0_multiply_104, %b0_constant_105 : tensor<2x16x48xf32>
    %b0_multiply_107 = stablehlo.multiply %b0_add_106, %b0_divide_102 : tensor<2x16x48xf32>
    %b0_constant_108 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b0_add_109 = stablehlo.add %b0_multiply_107, %b0_constant_108 : tensor<2x16x48xf32>
    %b0_multiply_110 = stablehlo.multiply %b0_add_109, %b0_divide_102 : tensor<2x16x48xf32>
    %b0_constant_111 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b0_add_112 = stablehlo.add %b0_multiply_110, %b0_constant_111 : tensor<2x16x48xf32>
    %b0_multiply_113 = stablehlo.multiply %b0_add_112, %b0_divide_102 : tensor<2x16x48xf32>
    %b0_constant_114 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b0_add_115 = stablehlo.add %b0_multiply_113, %b0_constant_114 : tensor<2x16x48xf32>
    %b0_multiply_116 = stablehlo.multiply %b0_add_115, %b0_divide_102 : tensor<2x16x48xf32>
    %b0_multiply_117 = stablehlo.multiply %b0_abs_97, %b0_abs_97 : tensor<2x16x48xf32>
    %b0_negate_118 = stablehlo.negate %b0_multiply_117 : tensor<2x16x48xf32>
    %b0_exponential_119 = stablehlo.exponential %b0_negate_118 : tensor<2x16x48xf32>
    %b0_multiply_120 = stablehlo.multiply %b0_multiply_116, %b0_exponential_119 : tensor<2x16x48xf32>
    %b0_subtract_121 = stablehlo.subtract %b0_constant_98, %b0_multiply_120 : tensor<2x16x48xf32>
    %b0_sign_122 = stablehlo.sign %b0_multiply_96 : tensor<2x16x48xf32>
    %b0_multiply_123 = stablehlo.multiply %b0_sign_122, %b0_subtract_121 : tensor<2x16x48xf32>
    %b0_constant_124 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b0_add_125 = stablehlo.add %b0_multiply_123, %b0_constant_124 : tensor<2x16x48xf32>
    %b0_constant_126 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b0_multiply_127 = stablehlo.multiply %b0_dot_94, %b0_constant_126 : tensor<2x16x48xf32>
    %b0_multiply_128 = stablehlo.multiply %b0_multiply_127, %b0_add_125 : tensor<2x16x48xf32>
    %b0_multiply_129 = stablehlo.multiply %b0_multiply_128, %b0_dot_93 : tensor<2x16x48xf32>
    %b0_dot_130 = stablehlo.dot_general %b0_multiply_129, %block_0_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b0_add_131 = stablehlo.add %b0_add_74, %b0_dot_130 : tensor<2x16x32xf32>

    // block 1: attention
    %b1_constant_132 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_133 = stablehlo.reduce(%b0_add_131 init: %b1_constant_132) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_134 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_135 = stablehlo.multiply %b1_reduce_133, %b1_constant_134 : tensor<2x16xf32>
    %b1_broadcast_136 = stablehlo.broadcast_in_dim %b1_multiply_135, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_subtract_137 = stablehlo.subtract %b0_add_131, %b1_broadcast_136 : tensor<2x16x32xf32>
    %b1_multiply_138 = stablehlo.multiply %b1_subtract_137, %b1_subtract_137 : tensor<2x16x32xf32>
    %b1_constant_139 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_140 = stablehlo.reduce(%b1_multiply_138 init: %b1_constant_139) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_141 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_142 = stablehlo.multiply %b1_reduce_140, %b1_constant_141 : tensor<2x16xf32>
    %b1_constant_143 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b1_add_144 = stablehlo.add %b1_multiply_142, %b1_constant_143 : tensor<2x16xf32>
    %b1_rsqrt_145 = stablehlo.rsqrt %b1_add_144 : tensor<2x16xf32>
    %b1_broadcast_146 = stablehlo.broadcast_in_dim %b1_rsqrt_145, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_147 = stablehlo.multiply %b1_subtract_137, %b1_broadcast_146 : tensor<2x16x32xf32>
    %b1_broadcast_148 = stablehlo.broadcast_in_dim %block_1_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_149 = stablehlo.multiply %b1_multiply_147, %b1_broadcast_148 : tensor<2x16x32xf32>
    %b1_dot_150 = stablehlo.dot_general %b1_multiply_149, %block_1_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_reshape_151 = stablehlo.reshape %b1_dot_150 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_152 = stablehlo.dot_general %b1_multiply_149, %block_1_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_reshape_153 = stablehlo.reshape %b1_dot_152 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_154 = stablehlo.dot_general %b1_multiply_149, %block_1_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_reshape_155 = stablehlo.reshape %b1_dot_154 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b1_slice_156 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b1_broadcast_157 = stablehlo.broadcast_in_dim %b1_slice_156, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_158 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b1_broadcast_159 = stablehlo.broadcast_in_dim %b1_slice_158, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_160 = stablehlo.slice %b1_reshape_151 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_161 = stablehlo.slice %b1_reshape_151 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b1_multiply_162 = stablehlo.multiply %b1_slice_161, %b1_broadcast_159 : tensor<2x16x4x4xf32>
    %b1_multiply_163 = stablehlo.multiply %b1_slice_160, %b1_broadcast_157 : tensor<2x16x4x4xf32>
    %b1_subtract_164 = stablehlo.subtract %b1_multiply_163, %b1_multiply_162 : tensor<2x16x4x4xf32>
    %b1_multiply_165 = stablehlo.multiply %b1_slice_160, %b1_broadcast_159 : tensor<2x16x4x4xf32>
    %b1_multiply_166 = stablehlo.multiply %b1_slice_161, %b1_broadcast_157 : tensor<2x16x4x4xf32>
    %b1_add_167 = stablehlo.add %b1_multiply_166, %b1_multiply_165 : tensor<2x16x4x4xf32>
    %b1_concatenate_168 = stablehlo.concatenate %b1_subtract_164, %b1_add_167, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b1_slice_169 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b1_broadcast_170 = stablehlo.broadcast_in_dim %b1_slice_169, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_171 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b1_broadcast_172 = stablehlo.broadcast_in_dim %b1_slice_171, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_173 = stablehlo.slice %b1_reshape_153 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b1_slice_174 = stablehlo.slice %b1_reshape_153 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b1_multiply_175 = stablehlo.multiply %b1_slice_174, %b1_broadcast_172 : tensor<2x16x4x4xf32>
    %b1_multiply_176 = stablehlo.multiply %b1_slice_173, %b1_broadcast_170 : tensor<2x16x4x4xf32>
    %b1_subtract_177 = stablehlo.subtract %b1_multiply_176, %b1_multiply_175 : tensor<2x16x4x4xf32>
    %b1_multiply_178 = stablehlo.multiply %b1_slice_173, %b1_broadcast_172 : tensor<2x16x4x4xf32>
    %b1_multiply_179 = stablehlo.multiply %b1_slice_174, %b1_broadcast_170 : tensor<2x16x4x4xf32>
    %b1_add_180 = stablehlo.add %b1_multiply_179, %b1_multiply_178 : tensor<2x16x4x4xf32>
    %b1_concatenate_181 = stablehlo.concatenate %b1_subtract_177, %b1_add_180, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b1_dot_182 = stablehlo.dot_general %b1_concatenate_168, %b1_concatenate_181, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b1_constant_183 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b1_multiply_184 = stablehlo.multiply %b1_dot_182, %b1_constant_183 : tensor<2x4x16x16xf32>
    %b1_broadcast_185 = stablehlo.broadcast_in_dim %mask_compare_2, dims = [0, 2] : (tensor<2x16xi1>) -> tensor<2x16x16xi1>
    %b1_iota_186 = stablehlo.iota dim = 1 : tensor<16x16xi32>
    %b1_iota_187 = stablehlo.iota dim = 0 : tensor<16x16xi32>
    %b1_subtract_188 = stablehlo.subtract %b1_iota_187, %b1_iota_186 : tensor<16x16xi32>
    %b1_constant_189 = stablehlo.constant dense<4> : tensor<16x16xi32>
    %b1_abs_190 = stablehlo.abs %b1_subtract_188 : tensor<16x16xi32>
    %b1_compare_191 = stablehlo.compare LE, %b1_abs_190, %b1_constant_189, SIGNED : (tensor<16x16xi32>, tensor<16x16xi32>) -> tensor<16x16xi1>
    %b1_broadcast_192 = stablehlo.broadcast_in_dim %b1_compare_191, dims = [1, 2] : (tensor<16x16xi1>) -> tensor<2x16x16xi1>
    %b1_and_193 = stablehlo.and %b1_broadcast_185, %b1_broadcast_192 : tensor<2x16x16xi1>
    %b1_constant_194 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b1_broadcast_195 = stablehlo.broadcast_in_dim %b1_and_193, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b1_select_196 = stablehlo.select %b1_broadcast_195, %b1_multiply_184, %b1_constant_194 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b1_constant_197 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b1_reduce_198 = stablehlo.reduce(%b1_select_196 init: %b1_constant_197) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b1_broadcast_199 = stablehlo.broadcast_in_dim %b1_reduce_198, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_subtract_200 = stablehlo.subtract %b1_select_196, %b1_broadcast_199 : tensor<2x4x16x16xf32>
    %b1_exponential_201 = stablehlo.exponential %b1_subtract_200 : tensor<2x4x16x16xf32>
    %b1_constant_202 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_203 = stablehlo.reduce(%b1_exponential_201 init: %b1_constant_202) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b1_broadcast_204 = stablehlo.broadcast_in_dim %b1_reduce_203, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b1_divide_205 = stablehlo.divide %b1_exponential_201, %b1_broadcast_204 : tensor<2x4x16x16xf32>
    %b1_dot_206 = stablehlo.dot_general %b1_divide_205, %b1_reshape_155, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b1_transpose_207 = stablehlo.transpose %b1_dot_206, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b1_reshape_208 = stablehlo.reshape %b1_transpose_207 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b1_dot_209 = stablehlo.dot_general %b1_reshape_208, %block_1_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b1_add_210 = stablehlo.add %b0_add_131, %b1_dot_209 : tensor<2x16x32xf32>

    // block 1: feed-forward
    %b1_constant_211 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_212 = stablehlo.reduce(%b1_add_210 init: %b1_constant_211) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_213 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_214 = stablehlo.multiply %b1_reduce_212, %b1_constant_213 : tensor<2x16xf32>
    %b1_broadcast_215 = stablehlo.broadcast_in_dim %b1_multiply_214, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_subtract_216 = stablehlo.subtract %b1_add_210, %b1_broadcast_215 : tensor<2x16x32xf32>
    %b1_multiply_217 = stablehlo.multiply %b1_subtract_216, %b1_subtract_216 : tensor<2x16x32xf32>
    %b1_constant_218 = stablehlo.constant dense<0.0> : tensor<f32>
    %b1_reduce_219 = stablehlo.reduce(%b1_multiply_217 init: %b1_constant_218) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b1_constant_220 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b1_multiply_221 = stablehlo.multiply %b1_reduce_219, %b1_constant_220 : tensor<2x16xf32>
    %b1_constant_222 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b1_add_223 = stablehlo.add %b1_multiply_221, %b1_constant_222 : tensor<2x16xf32>
    %b1_rsqrt_224 = stablehlo.rsqrt %b1_add_223 : tensor<2x16xf32>
    %b1_broadcast_225 = stablehlo.broadcast_in_dim %b1_rsqrt_224, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_226 = stablehlo.multiply %b1_subtract_216, %b1_broadcast_225 : tensor<2x16x32xf32>
    %b1_broadcast_227 = stablehlo.broadcast_in_dim %block_1_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b1_multiply_228 = stablehlo.multiply %b1_multiply_226, %b1_broadcast_227 : tensor<2x16x32xf32>
    %b1_dot_229 = stablehlo.dot_general %b1_multiply_228, %block_1_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b1_dot_230 = stablehlo.dot_general %b1_multiply_228, %block_1_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b1_constant_231 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b1_multiply_232 = stablehlo.multiply %b1_dot_230, %b1_constant_231 : tensor<2x16x48xf32>
    %b1_abs_233 = stablehlo.abs %b1_multiply_232 : tensor<2x16x48xf32>
    %b1_constant_234 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b1_constant_235 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b1_multiply_236 = stablehlo.multiply %b1_abs_233, %b1_constant_235 : tensor<2x16x48xf32>
    %b1_add_237 = stablehlo.add %b1_constant_234, %b1_multiply_236 : tensor<2x16x48xf32>
    %b1_divide_238 = stablehlo.divide %b1_constant_234, %b1_add_237 : tensor<2x16x48xf32>
    %b1_constant_239 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b1_multiply_240 = stablehlo.multiply %b1_divide_238, %b1_constant_239 : tensor<2x16x48xf32>
    %b1_constant_241 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b1_add_242 = stablehlo.add %b1_multiply_240, %b1_constant_241 : tensor<2x16x48xf32>
    %b1_multiply_243 = stablehlo.multiply %b1_add_242, %b1_divide_238 : tensor<2x16x48xf32>
    %b1_constant_244 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b1_add_245 = stablehlo.add %b1_multiply_243, %b1_constant_244 : tensor<2x16x48xf32>
    %b1_multiply_246 = stablehlo.multiply %b1_add_245, %b1_divide_238 : tensor<2x16x48xf32>
    %b1_constant_247 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b1_add_248 = stablehlo.add %b1_multiply_246, %b1_constant_247 : tensor<2x16x48xf32>
    %b1_multiply_249 = stablehlo.multiply %b1_add_248, %b1_divide_238 : tensor<2x16x48xf32>
    %b1_constant_250 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b1_add_251 = stablehlo.add %b1_multiply_249, %b1_constant_250 : tensor<2x16x48xf32>
    %b1_multiply_252 = stablehlo.multiply %b1_add_251, %b1_divide_238 : tensor<2x16x48xf32>
    %b1_multiply_253 = stablehlo.multiply %b1_abs_233, %b1_abs_233 : tensor<2x16x48xf32>
    %b1_negate_254 = stablehlo.negate %b1_multiply_253 : tensor<2x16x48xf32>
    %b1_exponential_255 = stablehlo.exponential %b1_negate_254 : tensor<2x16x48xf32>
    %b1_multiply_256 = stablehlo.multiply %b1_multiply_252, %b1_exponential_255 : tensor<2x16x48xf32>
    %b1_subtract_257 = stablehlo.subtract %b1_constant_234, %b1_multiply_256 : tensor<2x16x48xf32>
    %b1_sign_258 = stablehlo.sign %b1_multiply_232 : tensor<2x16x48xf32>
    %b1_multiply_259 = stablehlo.multiply %b1_sign_258, %b1_subtract_257 : tensor<2x16x48xf32>
    %b1_constant_260 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b1_add_261 = stablehlo.add %b1_multiply_259, %b1_constant_260 : tensor<2x16x48xf32>
    %b1_constant_262 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b1_multiply_263 = stablehlo.multiply %b1_dot_230, %b1_constant_262 : tensor<2x16x48xf32>
    %b1_multiply_264 = stablehlo.multiply %b1_multiply_263, %b1_add_261 : tensor<2x16x48xf32>
    %b1_multiply_265 = stablehlo.multiply %b1_multiply_264, %b1_dot_229 : tensor<2x16x48xf32>
    %b1_dot_266 = stablehlo.dot_general %b1_multiply_265, %block_1_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b1_add_267 = stablehlo.add %b1_add_210, %b1_dot_266 : tensor<2x16x32xf32>

    // block 2: attention
    %b2_constant_268 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_269 = stablehlo.reduce(%b1_add_267 init: %b2_constant_268) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b2_constant_270 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b2_multiply_271 = stablehlo.multiply %b2_reduce_269, %b2_constant_270 : tensor<2x16xf32>
    %b2_broadcast_272 = stablehlo.broadcast_in_dim %b2_multiply_271, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b2_subtract_273 = stablehlo.subtract %b1_add_267, %b2_broadcast_272 : tensor<2x16x32xf32>
    %b2_multiply_274 = stablehlo.multiply %b2_subtract_273, %b2_subtract_273 : tensor<2x16x32xf32>
    %b2_constant_275 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_276 = stablehlo.reduce(%b2_multiply_274 init: %b2_constant_275) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b2_constant_277 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b2_multiply_278 = stablehlo.multiply %b2_reduce_276, %b2_constant_277 : tensor<2x16xf32>
    %b2_constant_279 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b2_add_280 = stablehlo.add %b2_multiply_278, %b2_constant_279 : tensor<2x16xf32>
    %b2_rsqrt_281 = stablehlo.rsqrt %b2_add_280 : tensor<2x16xf32>
    %b2_broadcast_282 = stablehlo.broadcast_in_dim %b2_rsqrt_281, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b2_multiply_283 = stablehlo.multiply %b2_subtract_273, %b2_broadcast_282 : tensor<2x16x32xf32>
    %b2_broadcast_284 = stablehlo.broadcast_in_dim %block_2_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b2_multiply_285 = stablehlo.multiply %b2_multiply_283, %b2_broadcast_284 : tensor<2x16x32xf32>
    %b2_dot_286 = stablehlo.dot_general %b2_multiply_285, %block_2_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_reshape_287 = stablehlo.reshape %b2_dot_286 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b2_dot_288 = stablehlo.dot_general %b2_multiply_285, %block_2_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_reshape_289 = stablehlo.reshape %b2_dot_288 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b2_dot_290 = stablehlo.dot_general %b2_multiply_285, %block_2_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_reshape_291 = stablehlo.reshape %b2_dot_290 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b2_slice_292 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b2_broadcast_293 = stablehlo.broadcast_in_dim %b2_slice_292, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_294 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b2_broadcast_295 = stablehlo.broadcast_in_dim %b2_slice_294, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_296 = stablehlo.slice %b2_reshape_287 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_297 = stablehlo.slice %b2_reshape_287 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b2_multiply_298 = stablehlo.multiply %b2_slice_297, %b2_broadcast_295 : tensor<2x16x4x4xf32>
    %b2_multiply_299 = stablehlo.multiply %b2_slice_296, %b2_broadcast_293 : tensor<2x16x4x4xf32>
    %b2_subtract_300 = stablehlo.subtract %b2_multiply_299, %b2_multiply_298 : tensor<2x16x4x4xf32>
    %b2_multiply_301 = stablehlo.multiply %b2_slice_296, %b2_broadcast_295 : tensor<2x16x4x4xf32>
    %b2_multiply_302 = stablehlo.multiply %b2_slice_297, %b2_broadcast_293 : tensor<2x16x4x4xf32>
    %b2_add_303 = stablehlo.add %b2_multiply_302, %b2_multiply_301 : tensor<2x16x4x4xf32>
    %b2_concatenate_304 = stablehlo.concatenate %b2_subtract_300, %b2_add_303, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b2_slice_305 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b2_broadcast_306 = stablehlo.broadcast_in_dim %b2_slice_305, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_307 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b2_broadcast_308 = stablehlo.broadcast_in_dim %b2_slice_307, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_309 = stablehlo.slice %b2_reshape_289 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b2_slice_310 = stablehlo.slice %b2_reshape_289 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b2_multiply_311 = stablehlo.multiply %b2_slice_310, %b2_broadcast_308 : tensor<2x16x4x4xf32>
    %b2_multiply_312 = stablehlo.multiply %b2_slice_309, %b2_broadcast_306 : tensor<2x16x4x4xf32>
    %b2_subtract_313 = stablehlo.subtract %b2_multiply_312, %b2_multiply_311 : tensor<2x16x4x4xf32>
    %b2_multiply_314 = stablehlo.multiply %b2_slice_309, %b2_broadcast_308 : tensor<2x16x4x4xf32>
    %b2_multiply_315 = stablehlo.multiply %b2_slice_310, %b2_broadcast_306 : tensor<2x16x4x4xf32>
    %b2_add_316 = stablehlo.add %b2_multiply_315, %b2_multiply_314 : tensor<2x16x4x4xf32>
    %b2_concatenate_317 = stablehlo.concatenate %b2_subtract_313, %b2_add_316, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b2_dot_318 = stablehlo.dot_general %b2_concatenate_304, %b2_concatenate_317, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b2_constant_319 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b2_multiply_320 = stablehlo.multiply %b2_dot_318, %b2_constant_319 : tensor<2x4x16x16xf32>
    %b2_constant_321 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b2_broadcast_322 = stablehlo.broadcast_in_dim %b1_and_193, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b2_select_323 = stablehlo.select %b2_broadcast_322, %b2_multiply_320, %b2_constant_321 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b2_constant_324 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b2_reduce_325 = stablehlo.reduce(%b2_select_323 init: %b2_constant_324) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b2_broadcast_326 = stablehlo.broadcast_in_dim %b2_reduce_325, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b2_subtract_327 = stablehlo.subtract %b2_select_323, %b2_broadcast_326 : tensor<2x4x16x16xf32>
    %b2_exponential_328 = stablehlo.exponential %b2_subtract_327 : tensor<2x4x16x16xf32>
    %b2_constant_329 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_330 = stablehlo.reduce(%b2_exponential_328 init: %b2_constant_329) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b2_broadcast_331 = stablehlo.broadcast_in_dim %b2_reduce_330, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b2_divide_332 = stablehlo.divide %b2_exponential_328, %b2_broadcast_331 : tensor<2x4x16x16xf32>
    %b2_dot_333 = stablehlo.dot_general %b2_divide_332, %b2_reshape_291, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b2_transpose_334 = stablehlo.transpose %b2_dot_333, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b2_reshape_335 = stablehlo.reshape %b2_transpose_334 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b2_dot_336 = stablehlo.dot_general %b2_reshape_335, %block_2_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b2_add_337 = stablehlo.add %b1_add_267, %b2_dot_336 : tensor<2x16x32xf32>

    // block 2: feed-forward
    %b2_constant_338 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_339 = stablehlo.reduce(%b2_add_337 init: %b2_constant_338) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b2_constant_340 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b2_multiply_341 = stablehlo.multiply %b2_reduce_339, %b2_constant_340 : tensor<2x16xf32>
    %b2_broadcast_342 = stablehlo.broadcast_in_dim %b2_multiply_341, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b2_subtract_343 = stablehlo.subtract %b2_add_337, %b2_broadcast_342 : tensor<2x16x32xf32>
    %b2_multiply_344 = stablehlo.multiply %b2_subtract_343, %b2_subtract_343 : tensor<2x16x32xf32>
    %b2_constant_345 = stablehlo.constant dense<0.0> : tensor<f32>
    %b2_reduce_346 = stablehlo.reduce(%b2_multiply_344 init: %b2_constant_345) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b2_constant_347 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b2_multiply_348 = stablehlo.multiply %b2_reduce_346, %b2_constant_347 : tensor<2x16xf32>
    %b2_constant_349 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b2_add_350 = stablehlo.add %b2_multiply_348, %b2_constant_349 : tensor<2x16xf32>
    %b2_rsqrt_351 = stablehlo.rsqrt %b2_add_350 : tensor<2x16xf32>
    %b2_broadcast_352 = stablehlo.broadcast_in_dim %b2_rsqrt_351, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b2_multiply_353 = stablehlo.multiply %b2_subtract_343, %b2_broadcast_352 : tensor<2x16x32xf32>
    %b2_broadcast_354 = stablehlo.broadcast_in_dim %block_2_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b2_multiply_355 = stablehlo.multiply %b2_multiply_353, %b2_broadcast_354 : tensor<2x16x32xf32>
    %b2_dot_356 = stablehlo.dot_general %b2_multiply_355, %block_2_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b2_dot_357 = stablehlo.dot_general %b2_multiply_355, %block_2_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b2_constant_358 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b2_multiply_359 = stablehlo.multiply %b2_dot_357, %b2_constant_358 : tensor<2x16x48xf32>
    %b2_abs_360 = stablehlo.abs %b2_multiply_359 : tensor<2x16x48xf32>
    %b2_constant_361 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b2_constant_362 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b2_multiply_363 = stablehlo.multiply %b2_abs_360, %b2_constant_362 : tensor<2x16x48xf32>
    %b2_add_364 = stablehlo.add %b2_constant_361, %b2_multiply_363 : tensor<2x16x48xf32>
    %b2_divide_365 = stablehlo.divide %b2_constant_361, %b2_add_364 : tensor<2x16x48xf32>
    %b2_constant_366 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b2_multiply_367 = stablehlo.multiply %b2_divide_365, %b2_constant_366 : tensor<2x16x48xf32>
    %b2_constant_368 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b2_add_369 = stablehlo.add %b2_multiply_367, %b2_constant_368 : tensor<2x16x48xf32>
    %b2_multiply_370 = stablehlo.multiply %b2_add_369, %b2_divide_365 : tensor<2x16x48xf32>
    %b2_constant_371 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b2_add_372 = stablehlo.add %b2_multiply_370, %b2_constant_371 : tensor<2x16x48xf32>
    %b2_multiply_373 = stablehlo.multiply %b2_add_372, %b2_divide_365 : tensor<2x16x48xf32>
    %b2_constant_374 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b2_add_375 = stablehlo.add %b2_multiply_373, %b2_constant_374 : tensor<2x16x48xf32>
    %b2_multiply_376 = stablehlo.multiply %b2_add_375, %b2_divide_365 : tensor<2x16x48xf32>
    %b2_constant_377 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b2_add_378 = stablehlo.add %b2_multiply_376, %b2_constant_377 : tensor<2x16x48xf32>
    %b2_multiply_379 = stablehlo.multiply %b2_add_378, %b2_divide_365 : tensor<2x16x48xf32>
    %b2_multiply_380 = stablehlo.multiply %b2_abs_360, %b2_abs_360 : tensor<2x16x48xf32>
    %b2_negate_381 = stablehlo.negate %b2_multiply_380 : tensor<2x16x48xf32>
    %b2_exponential_382 = stablehlo.exponential %b2_negate_381 : tensor<2x16x48xf32>
    %b2_multiply_383 = stablehlo.multiply %b2_multiply_379, %b2_exponential_382 : tensor<2x16x48xf32>
    %b2_subtract_384 = stablehlo.subtract %b2_constant_361, %b2_multiply_383 : tensor<2x16x48xf32>
    %b2_sign_385 = stablehlo.sign %b2_multiply_359 : tensor<2x16x48xf32>
    %b2_multiply_386 = stablehlo.multiply %b2_sign_385, %b2_subtract_384 : tensor<2x16x48xf32>
    %b2_constant_387 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b2_add_388 = stablehlo.add %b2_multiply_386, %b2_constant_387 : tensor<2x16x48xf32>
    %b2_constant_389 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b2_multiply_390 = stablehlo.multiply %b2_dot_357, %b2_constant_389 : tensor<2x16x48xf32>
    %b2_multiply_391 = stablehlo.multiply %b2_multiply_390, %b2_add_388 : tensor<2x16x48xf32>
    %b2_multiply_392 = stablehlo.multiply %b2_multiply_391, %b2_dot_356 : tensor<2x16x48xf32>
    %b2_dot_393 = stablehlo.dot_general %b2_multiply_392, %block_2_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b2_add_394 = stablehlo.add %b2_add_337, %b2_dot_393 : tensor<2x16x32xf32>

    // block 3: attention
    %b3_constant_395 = stablehlo.constant dense<0.0> : tensor<f32>
    %b3_reduce_396 = stablehlo.reduce(%b2_add_394 init: %b3_constant_395) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b3_constant_397 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b3_multiply_398 = stablehlo.multiply %b3_reduce_396, %b3_constant_397 : tensor<2x16xf32>
    %b3_broadcast_399 = stablehlo.broadcast_in_dim %b3_multiply_398, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b3_subtract_400 = stablehlo.subtract %b2_add_394, %b3_broadcast_399 : tensor<2x16x32xf32>
    %b3_multiply_401 = stablehlo.multiply %b3_subtract_400, %b3_subtract_400 : tensor<2x16x32xf32>
    %b3_constant_402 = stablehlo.constant dense<0.0> : tensor<f32>
    %b3_reduce_403 = stablehlo.reduce(%b3_multiply_401 init: %b3_constant_402) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b3_constant_404 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b3_multiply_405 = stablehlo.multiply %b3_reduce_403, %b3_constant_404 : tensor<2x16xf32>
    %b3_constant_406 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b3_add_407 = stablehlo.add %b3_multiply_405, %b3_constant_406 : tensor<2x16xf32>
    %b3_rsqrt_408 = stablehlo.rsqrt %b3_add_407 : tensor<2x16xf32>
    %b3_broadcast_409 = stablehlo.broadcast_in_dim %b3_rsqrt_408, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b3_multiply_410 = stablehlo.multiply %b3_subtract_400, %b3_broadcast_409 : tensor<2x16x32xf32>
    %b3_broadcast_411 = stablehlo.broadcast_in_dim %block_3_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b3_multiply_412 = stablehlo.multiply %b3_multiply_410, %b3_broadcast_411 : tensor<2x16x32xf32>
    %b3_dot_413 = stablehlo.dot_general %b3_multiply_412, %block_3_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b3_reshape_414 = stablehlo.reshape %b3_dot_413 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b3_dot_415 = stablehlo.dot_general %b3_multiply_412, %block_3_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b3_reshape_416 = stablehlo.reshape %b3_dot_415 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b3_dot_417 = stablehlo.dot_general %b3_multiply_412, %block_3_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b3_reshape_418 = stablehlo.reshape %b3_dot_417 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b3_slice_419 = stablehlo.slice %rope_0_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b3_broadcast_420 = stablehlo.broadcast_in_dim %b3_slice_419, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_421 = stablehlo.slice %rope_0_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b3_broadcast_422 = stablehlo.broadcast_in_dim %b3_slice_421, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_423 = stablehlo.slice %b3_reshape_414 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_424 = stablehlo.slice %b3_reshape_414 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b3_multiply_425 = stablehlo.multiply %b3_slice_424, %b3_broadcast_422 : tensor<2x16x4x4xf32>
    %b3_multiply_426 = stablehlo.multiply %b3_slice_423, %b3_broadcast_420 : tensor<2x16x4x4xf32>
    %b3_subtract_427 = stablehlo.subtract %b3_multiply_426, %b3_multiply_425 : tensor<2x16x4x4xf32>
    %b3_multiply_428 = stablehlo.multiply %b3_slice_423, %b3_broadcast_422 : tensor<2x16x4x4xf32>
    %b3_multiply_429 = stablehlo.multiply %b3_slice_424, %b3_broadcast_420 : tensor<2x16x4x4xf32>
    %b3_add_430 = stablehlo.add %b3_multiply_429, %b3_multiply_428 : tensor<2x16x4x4xf32>
    %b3_concatenate_431 = stablehlo.concatenate %b3_subtract_427, %b3_add_430, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b3_slice_432 = stablehlo.slice %rope_0_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b3_broadcast_433 = stablehlo.broadcast_in_dim %b3_slice_432, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_434 = stablehlo.slice %rope_0_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b3_broadcast_435 = stablehlo.broadcast_in_dim %b3_slice_434, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_436 = stablehlo.slice %b3_reshape_416 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b3_slice_437 = stablehlo.slice %b3_reshape_416 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b3_multiply_438 = stablehlo.multiply %b3_slice_437, %b3_broadcast_435 : tensor<2x16x4x4xf32>
    %b3_multiply_439 = stablehlo.multiply %b3_slice_436, %b3_broadcast_433 : tensor<2x16x4x4xf32>
    %b3_subtract_440 = stablehlo.subtract %b3_multiply_439, %b3_multiply_438 : tensor<2x16x4x4xf32>
    %b3_multiply_441 = stablehlo.multiply %b3_slice_436, %b3_broadcast_435 : tensor<2x16x4x4xf32>
    %b3_multiply_442 = stablehlo.multiply %b3_slice_437, %b3_broadcast_433 : tensor<2x16x4x4xf32>
    %b3_add_443 = stablehlo.add %b3_multiply_442, %b3_multiply_441 : tensor<2x16x4x4xf32>
    %b3_concatenate_444 = stablehlo.concatenate %b3_subtract_440, %b3_add_443, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b3_dot_445 = stablehlo.dot_general %b3_concatenate_431, %b3_concatenate_444, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
    %b3_constant_446 = stablehlo.constant dense<0.353553385> : tensor<2x4x16x16xf32>
    %b3_multiply_447 = stablehlo.multiply %b3_dot_445, %b3_constant_446 : tensor<2x4x16x16xf32>
    %b3_constant_448 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x16x16xf32>
    %b3_broadcast_449 = stablehlo.broadcast_in_dim %b0_broadcast_57, dims = [0, 2, 3] : (tensor<2x16x16xi1>) -> tensor<2x4x16x16xi1>
    %b3_select_450 = stablehlo.select %b3_broadcast_449, %b3_multiply_447, %b3_constant_448 : tensor<2x4x16x16xi1>, tensor<2x4x16x16xf32>
    %b3_constant_451 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b3_reduce_452 = stablehlo.reduce(%b3_select_450 init: %b3_constant_451) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b3_broadcast_453 = stablehlo.broadcast_in_dim %b3_reduce_452, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b3_subtract_454 = stablehlo.subtract %b3_select_450, %b3_broadcast_453 : tensor<2x4x16x16xf32>
    %b3_exponential_455 = stablehlo.exponential %b3_subtract_454 : tensor<2x4x16x16xf32>
    %b3_constant_456 = stablehlo.constant dense<0.0> : tensor<f32>
    %b3_reduce_457 = stablehlo.reduce(%b3_exponential_455 init: %b3_constant_456) applies stablehlo.add across dimensions = [3] : (tensor<2x4x16x16xf32>, tensor<f32>) -> tensor<2x4x16xf32>
    %b3_broadcast_458 = stablehlo.broadcast_in_dim %b3_reduce_457, dims = [0, 1, 2] : (tensor<2x4x16xf32>) -> tensor<2x4x16x16xf32>
    %b3_divide_459 = stablehlo.divide %b3_exponential_455, %b3_broadcast_458 : tensor<2x4x16x16xf32>
    %b3_dot_460 = stablehlo.dot_general %b3_divide_459, %b3_reshape_418, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x16x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x8xf32>
    %b3_transpose_461 = stablehlo.transpose %b3_dot_460, dims = [0, 2, 1, 3] : (tensor<2x4x16x8xf32>) -> tensor<2x16x4x8xf32>
    %b3_reshape_462 = stablehlo.reshape %b3_transpose_461 : (tensor<2x16x4x8xf32>) -> tensor<2x16x32xf32>
    %b3_dot_463 = stablehlo.dot_general %b3_reshape_462, %block_3_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b3_add_464 = stablehlo.add %b2_add_394, %b3_dot_463 : tensor<2x16x32xf32>

    // block 3: feed-forward
    %b3_constant_465 = stablehlo.constant dense<0.0> : tensor<f32>
    %b3_reduce_466 = stablehlo.reduce(%b3_add_464 init: %b3_constant_465) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b3_constant_467 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b3_multiply_468 = stablehlo.multiply %b3_reduce_466, %b3_constant_467 : tensor<2x16xf32>
    %b3_broadcast_469 = stablehlo.broadcast_in_dim %b3_multiply_468, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b3_subtract_470 = stablehlo.subtract %b3_add_464, %b3_broadcast_469 : tensor<2x16x32xf32>
    %b3_multiply_471 = stablehlo.multiply %b3_subtract_470, %b3_subtract_470 : tensor<2x16x32xf32>
    %b3_constant_472 = stablehlo.constant dense<0.0> : tensor<f32>
    %b3_reduce_473 = stablehlo.reduce(%b3_multiply_471 init: %b3_constant_472) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b3_constant_474 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b3_multiply_475 = stablehlo.multiply %b3_reduce_473, %b3_constant_474 : tensor<2x16xf32>
    %b3_constant_476 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b3_add_477 = stablehlo.add %b3_multiply_475, %b3_constant_476 : tensor<2x16xf32>
    %b3_rsqrt_478 = stablehlo.rsqrt %b3_add_477 : tensor<2x16xf32>
    %b3_broadcast_479 = stablehlo.broadcast_in_dim %b3_rsqrt_478, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b3_multiply_480 = stablehlo.multiply %b3_subtract_470, %b3_broadcast_479 : tensor<2x16x32xf32>
    %b3_broadcast_481 = stablehlo.broadcast_in_dim %block_3_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b3_multiply_482 = stablehlo.multiply %b3_multiply_480, %b3_broadcast_481 : tensor<2x16x32xf32>
    %b3_dot_483 = stablehlo.dot_general %b3_multiply_482, %block_3_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b3_dot_484 = stablehlo.dot_general %b3_multiply_482, %block_3_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<48x32xf32>) -> tensor<2x16x48xf32>
    %b3_constant_485 = stablehlo.constant dense<0.707106769> : tensor<2x16x48xf32>
    %b3_multiply_486 = stablehlo.multiply %b3_dot_484, %b3_constant_485 : tensor<2x16x48xf32>
    %b3_abs_487 = stablehlo.abs %b3_multiply_486 : tensor<2x16x48xf32>
    %b3_constant_488 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b3_constant_489 = stablehlo.constant dense<0.327591091> : tensor<2x16x48xf32>
    %b3_multiply_490 = stablehlo.multiply %b3_abs_487, %b3_constant_489 : tensor<2x16x48xf32>
    %b3_add_491 = stablehlo.add %b3_constant_488, %b3_multiply_490 : tensor<2x16x48xf32>
    %b3_divide_492 = stablehlo.divide %b3_constant_488, %b3_add_491 : tensor<2x16x48xf32>
    %b3_constant_493 = stablehlo.constant dense<1.06140542> : tensor<2x16x48xf32>
    %b3_multiply_494 = stablehlo.multiply %b3_divide_492, %b3_constant_493 : tensor<2x16x48xf32>
    %b3_constant_495 = stablehlo.constant dense<-1.45315206> : tensor<2x16x48xf32>
    %b3_add_496 = stablehlo.add %b3_multiply_494, %b3_constant_495 : tensor<2x16x48xf32>
    %b3_multiply_497 = stablehlo.multiply %b3_add_496, %b3_divide_492 : tensor<2x16x48xf32>
    %b3_constant_498 = stablehlo.constant dense<1.42141378> : tensor<2x16x48xf32>
    %b3_add_499 = stablehlo.add %b3_multiply_497, %b3_constant_498 : tensor<2x16x48xf32>
    %b3_multiply_500 = stablehlo.multiply %b3_add_499, %b3_divide_492 : tensor<2x16x48xf32>
    %b3_constant_501 = stablehlo.constant dense<-0.284496725> : tensor<2x16x48xf32>
    %b3_add_502 = stablehlo.add %b3_multiply_500, %b3_constant_501 : tensor<2x16x48xf32>
    %b3_multiply_503 = stablehlo.multiply %b3_add_502, %b3_divide_492 : tensor<2x16x48xf32>
    %b3_constant_504 = stablehlo.constant dense<0.254829586> : tensor<2x16x48xf32>
    %b3_add_505 = stablehlo.add %b3_multiply_503, %b3_constant_504 : tensor<2x16x48xf32>
    %b3_multiply_506 = stablehlo.multiply %b3_add_505, %b3_divide_492 : tensor<2x16x48xf32>
    %b3_multiply_507 = stablehlo.multiply %b3_abs_487, %b3_abs_487 : tensor<2x16x48xf32>
    %b3_negate_508 = stablehlo.negate %b3_multiply_507 : tensor<2x16x48xf32>
    %b3_exponential_509 = stablehlo.exponential %b3_negate_508 : tensor<2x16x48xf32>
    %b3_multiply_510 = stablehlo.multiply %b3_multiply_506, %b3_exponential_509 : tensor<2x16x48xf32>
    %b3_subtract_511 = stablehlo.subtract %b3_constant_488, %b3_multiply_510 : tensor<2x16x48xf32>
    %b3_sign_512 = stablehlo.sign %b3_multiply_486 : tensor<2x16x48xf32>
    %b3_multiply_513 = stablehlo.multiply %b3_sign_512, %b3_subtract_511 : tensor<2x16x48xf32>
    %b3_constant_514 = stablehlo.constant dense<1.0> : tensor<2x16x48xf32>
    %b3_add_515 = stablehlo.add %b3_multiply_513, %b3_constant_514 : tensor<2x16x48xf32>
    %b3_constant_516 = stablehlo.constant dense<0.5> : tensor<2x16x48xf32>
    %b3_multiply_517 = stablehlo.multiply %b3_dot_484, %b3_constant_516 : tensor<2x16x48xf32>
    %b3_multiply_518 = stablehlo.multiply %b3_multiply_517, %b3_add_515 : tensor<2x16x48xf32>
    %b3_multiply_519 = stablehlo.multiply %b3_multiply_518, %b3_dot_483 : tensor<2x16x48xf32>
    %b3_dot_520 = stablehlo.dot_general %b3_multiply_519, %block_3_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x48xf32>, tensor<32x48xf32>) -> tensor<2x16x32xf32>
    %b3_add_521 = stablehlo.add %b3_add_464, %b3_dot_520 : tensor<2x16x32xf32>

    // block 4: attention
    %b4_constant_522 = stablehlo.constant dense<0.0> : tensor<f32>
    %b4_reduce_523 = stablehlo.reduce(%b3_add_521 init: %b4_constant_522) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b4_constant_524 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b4_multiply_525 = stablehlo.multiply %b4_reduce_523, %b4_constant_524 : tensor<2x16xf32>
    %b4_broadcast_526 = stablehlo.broadcast_in_dim %b4_multiply_525, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b4_subtract_527 = stablehlo.subtract %b3_add_521, %b4_broadcast_526 : tensor<2x16x32xf32>
    %b4_multiply_528 = stablehlo.multiply %b4_subtract_527, %b4_subtract_527 : tensor<2x16x32xf32>
    %b4_constant_529 = stablehlo.constant dense<0.0> : tensor<f32>
    %b4_reduce_530 = stablehlo.reduce(%b4_multiply_528 init: %b4_constant_529) applies stablehlo.add across dimensions = [2] : (tensor<2x16x32xf32>, tensor<f32>) -> tensor<2x16xf32>
    %b4_constant_531 = stablehlo.constant dense<0.03125> : tensor<2x16xf32>
    %b4_multiply_532 = stablehlo.multiply %b4_reduce_530, %b4_constant_531 : tensor<2x16xf32>
    %b4_constant_533 = stablehlo.constant dense<9.99999975e-06> : tensor<2x16xf32>
    %b4_add_534 = stablehlo.add %b4_multiply_532, %b4_constant_533 : tensor<2x16xf32>
    %b4_rsqrt_535 = stablehlo.rsqrt %b4_add_534 : tensor<2x16xf32>
    %b4_broadcast_536 = stablehlo.broadcast_in_dim %b4_rsqrt_535, dims = [0, 1] : (tensor<2x16xf32>) -> tensor<2x16x32xf32>
    %b4_multiply_537 = stablehlo.multiply %b4_subtract_527, %b4_broadcast_536 : tensor<2x16x32xf32>
    %b4_broadcast_538 = stablehlo.broadcast_in_dim %block_4_attention_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x16x32xf32>
    %b4_multiply_539 = stablehlo.multiply %b4_multiply_537, %b4_broadcast_538 : tensor<2x16x32xf32>
    %b4_slice_540 = stablehlo.slice %b4_multiply_539 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b4_dot_541 = stablehlo.dot_general %b4_slice_540, %block_4_query_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b4_reshape_542 = stablehlo.reshape %b4_dot_541 : (tensor<2x1x32xf32>) -> tensor<2x1x4x8xf32>
    %b4_dot_543 = stablehlo.dot_general %b4_multiply_539, %block_4_key_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b4_reshape_544 = stablehlo.reshape %b4_dot_543 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b4_dot_545 = stablehlo.dot_general %b4_multiply_539, %block_4_value_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
    %b4_reshape_546 = stablehlo.reshape %b4_dot_545 : (tensor<2x16x32xf32>) -> tensor<2x16x4x8xf32>
    %b4_slice_547 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b4_broadcast_548 = stablehlo.broadcast_in_dim %b4_slice_547, dims = [1, 2] : (tensor<16x4xf32>) -> tensor<2x16x4xf32>
    %b4_slice_549 = stablehlo.slice %b4_broadcast_548 [0:2, 0:1, 0:4] : (tensor<2x16x4xf32>) -> tensor<2x1x4xf32>
    %b4_broadcast_550 = stablehlo.broadcast_in_dim %b4_slice_549, dims = [0, 1, 3] : (tensor<2x1x4xf32>) -> tensor<2x1x4x4xf32>
    %b4_slice_551 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b4_broadcast_552 = stablehlo.broadcast_in_dim %b4_slice_551, dims = [1, 2] : (tensor<16x4xf32>) -> tensor<2x16x4xf32>
    %b4_slice_553 = stablehlo.slice %b4_broadcast_552 [0:2, 0:1, 0:4] : (tensor<2x16x4xf32>) -> tensor<2x1x4xf32>
    %b4_broadcast_554 = stablehlo.broadcast_in_dim %b4_slice_553, dims = [0, 1, 3] : (tensor<2x1x4xf32>) -> tensor<2x1x4x4xf32>
    %b4_slice_555 = stablehlo.slice %b4_reshape_542 [0:2, 0:1, 0:4, 0:4] : (tensor<2x1x4x8xf32>) -> tensor<2x1x4x4xf32>
    %b4_slice_556 = stablehlo.slice %b4_reshape_542 [0:2, 0:1, 0:4, 4:8] : (tensor<2x1x4x8xf32>) -> tensor<2x1x4x4xf32>
    %b4_multiply_557 = stablehlo.multiply %b4_slice_556, %b4_broadcast_554 : tensor<2x1x4x4xf32>
    %b4_multiply_558 = stablehlo.multiply %b4_slice_555, %b4_broadcast_550 : tensor<2x1x4x4xf32>
    %b4_subtract_559 = stablehlo.subtract %b4_multiply_558, %b4_multiply_557 : tensor<2x1x4x4xf32>
    %b4_multiply_560 = stablehlo.multiply %b4_slice_555, %b4_broadcast_554 : tensor<2x1x4x4xf32>
    %b4_multiply_561 = stablehlo.multiply %b4_slice_556, %b4_broadcast_550 : tensor<2x1x4x4xf32>
    %b4_add_562 = stablehlo.add %b4_multiply_561, %b4_multiply_560 : tensor<2x1x4x4xf32>
    %b4_concatenate_563 = stablehlo.concatenate %b4_subtract_559, %b4_add_562, dim = 3 : (tensor<2x1x4x4xf32>, tensor<2x1x4x4xf32>) -> tensor<2x1x4x8xf32>
    %b4_slice_564 = stablehlo.slice %rope_1_cosines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b4_broadcast_565 = stablehlo.broadcast_in_dim %b4_slice_564, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b4_slice_566 = stablehlo.slice %rope_1_sines [0:16, 0:4] : (tensor<512x4xf32>) -> tensor<16x4xf32>
    %b4_broadcast_567 = stablehlo.broadcast_in_dim %b4_slice_566, dims = [1, 3] : (tensor<16x4xf32>) -> tensor<2x16x4x4xf32>
    %b4_slice_568 = stablehlo.slice %b4_reshape_544 [0:2, 0:16, 0:4, 0:4] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b4_slice_569 = stablehlo.slice %b4_reshape_544 [0:2, 0:16, 0:4, 4:8] : (tensor<2x16x4x8xf32>) -> tensor<2x16x4x4xf32>
    %b4_multiply_570 = stablehlo.multiply %b4_slice_569, %b4_broadcast_567 : tensor<2x16x4x4xf32>
    %b4_multiply_571 = stablehlo.multiply %b4_slice_568, %b4_broadcast_565 : tensor<2x16x4x4xf32>
    %b4_subtract_572 = stablehlo.subtract %b4_multiply_571, %b4_multiply_570 : tensor<2x16x4x4xf32>
    %b4_multiply_573 = stablehlo.multiply %b4_slice_568, %b4_broadcast_567 : tensor<2x16x4x4xf32>
    %b4_multiply_574 = stablehlo.multiply %b4_slice_569, %b4_broadcast_565 : tensor<2x16x4x4xf32>
    %b4_add_575 = stablehlo.add %b4_multiply_574, %b4_multiply_573 : tensor<2x16x4x4xf32>
    %b4_concatenate_576 = stablehlo.concatenate %b4_subtract_572, %b4_add_575, dim = 3 : (tensor<2x16x4x4xf32>, tensor<2x16x4x4xf32>) -> tensor<2x16x4x8xf32>
    %b4_dot_577 = stablehlo.dot_general %b4_concatenate_563, %b4_concatenate_576, batching_dims = [0, 2] x [0, 2], contracting_dims = [3] x [3], precision = [HIGHEST, HIGHEST] : (tensor<2x1x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x16xf32>
    %b4_constant_578 = stablehlo.constant dense<0.353553385> : tensor<2x4x1x16xf32>
    %b4_multiply_579 = stablehlo.multiply %b4_dot_577, %b4_constant_578 : tensor<2x4x1x16xf32>
    %b4_slice_580 = stablehlo.slice %b1_and_193 [0:2, 0:1, 0:16] : (tensor<2x16x16xi1>) -> tensor<2x1x16xi1>
    %b4_constant_581 = stablehlo.constant dense<-1.00000002e+30> : tensor<2x4x1x16xf32>
    %b4_broadcast_582 = stablehlo.broadcast_in_dim %b4_slice_580, dims = [0, 2, 3] : (tensor<2x1x16xi1>) -> tensor<2x4x1x16xi1>
    %b4_select_583 = stablehlo.select %b4_broadcast_582, %b4_multiply_579, %b4_constant_581 : tensor<2x4x1x16xi1>, tensor<2x4x1x16xf32>
    %b4_constant_584 = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %b4_reduce_585 = stablehlo.reduce(%b4_select_583 init: %b4_constant_584) applies stablehlo.maximum across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b4_broadcast_586 = stablehlo.broadcast_in_dim %b4_reduce_585, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b4_subtract_587 = stablehlo.subtract %b4_select_583, %b4_broadcast_586 : tensor<2x4x1x16xf32>
    %b4_exponential_588 = stablehlo.exponential %b4_subtract_587 : tensor<2x4x1x16xf32>
    %b4_constant_589 = stablehlo.constant dense<0.0> : tensor<f32>
    %b4_reduce_590 = stablehlo.reduce(%b4_exponential_588 init: %b4_constant_589) applies stablehlo.add across dimensions = [3] : (tensor<2x4x1x16xf32>, tensor<f32>) -> tensor<2x4x1xf32>
    %b4_broadcast_591 = stablehlo.broadcast_in_dim %b4_reduce_590, dims = [0, 1, 2] : (tensor<2x4x1xf32>) -> tensor<2x4x1x16xf32>
    %b4_divide_592 = stablehlo.divide %b4_exponential_588, %b4_broadcast_591 : tensor<2x4x1x16xf32>
    %b4_dot_593 = stablehlo.dot_general %b4_divide_592, %b4_reshape_546, batching_dims = [0, 1] x [0, 2], contracting_dims = [3] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x4x1x16xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x1x8xf32>
    %b4_transpose_594 = stablehlo.transpose %b4_dot_593, dims = [0, 2, 1, 3] : (tensor<2x4x1x8xf32>) -> tensor<2x1x4x8xf32>
    %b4_reshape_595 = stablehlo.reshape %b4_transpose_594 : (tensor<2x1x4x8xf32>) -> tensor<2x1x32xf32>
    %b4_dot_596 = stablehlo.dot_general %b4_reshape_595, %block_4_attention_output_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<32x32xf32>) -> tensor<2x1x32xf32>
    %b4_slice_597 = stablehlo.slice %b3_add_521 [0:2, 0:1, 0:32] : (tensor<2x16x32xf32>) -> tensor<2x1x32xf32>
    %b4_add_598 = stablehlo.add %b4_slice_597, %b4_dot_596 : tensor<2x1x32xf32>

    // block 4: feed-forward
    %b4_constant_599 = stablehlo.constant dense<0.0> : tensor<f32>
    %b4_reduce_600 = stablehlo.reduce(%b4_add_598 init: %b4_constant_599) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b4_constant_601 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b4_multiply_602 = stablehlo.multiply %b4_reduce_600, %b4_constant_601 : tensor<2x1xf32>
    %b4_broadcast_603 = stablehlo.broadcast_in_dim %b4_multiply_602, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b4_subtract_604 = stablehlo.subtract %b4_add_598, %b4_broadcast_603 : tensor<2x1x32xf32>
    %b4_multiply_605 = stablehlo.multiply %b4_subtract_604, %b4_subtract_604 : tensor<2x1x32xf32>
    %b4_constant_606 = stablehlo.constant dense<0.0> : tensor<f32>
    %b4_reduce_607 = stablehlo.reduce(%b4_multiply_605 init: %b4_constant_606) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %b4_constant_608 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %b4_multiply_609 = stablehlo.multiply %b4_reduce_607, %b4_constant_608 : tensor<2x1xf32>
    %b4_constant_610 = stablehlo.constant dense<9.99999975e-06> : tensor<2x1xf32>
    %b4_add_611 = stablehlo.add %b4_multiply_609, %b4_constant_610 : tensor<2x1xf32>
    %b4_rsqrt_612 = stablehlo.rsqrt %b4_add_611 : tensor<2x1xf32>
    %b4_broadcast_613 = stablehlo.broadcast_in_dim %b4_rsqrt_612, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %b4_multiply_614 = stablehlo.multiply %b4_subtract_604, %b4_broadcast_613 : tensor<2x1x32xf32>
    %b4_broadcast_615 = stablehlo.broadcast_in_dim %block_4_output_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %b4_multiply_616 = stablehlo.multiply %b4_multiply_614, %b4_broadcast_615 : tensor<2x1x32xf32>
    %b4_dot_617 = stablehlo.dot_general %b4_multiply_616, %block_4_up_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<48x32xf32>) -> tensor<2x1x48xf32>
    %b4_dot_618 = stablehlo.dot_general %b4_multiply_616, %block_4_gate_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x32xf32>, tensor<48x32xf32>) -> tensor<2x1x48xf32>
    %b4_constant_619 = stablehlo.constant dense<0.707106769> : tensor<2x1x48xf32>
    %b4_multiply_620 = stablehlo.multiply %b4_dot_618, %b4_constant_619 : tensor<2x1x48xf32>
    %b4_abs_621 = stablehlo.abs %b4_multiply_620 : tensor<2x1x48xf32>
    %b4_constant_622 = stablehlo.constant dense<1.0> : tensor<2x1x48xf32>
    %b4_constant_623 = stablehlo.constant dense<0.327591091> : tensor<2x1x48xf32>
    %b4_multiply_624 = stablehlo.multiply %b4_abs_621, %b4_constant_623 : tensor<2x1x48xf32>
    %b4_add_625 = stablehlo.add %b4_constant_622, %b4_multiply_624 : tensor<2x1x48xf32>
    %b4_divide_626 = stablehlo.divide %b4_constant_622, %b4_add_625 : tensor<2x1x48xf32>
    %b4_constant_627 = stablehlo.constant dense<1.06140542> : tensor<2x1x48xf32>
    %b4_multiply_628 = stablehlo.multiply %b4_divide_626, %b4_constant_627 : tensor<2x1x48xf32>
    %b4_constant_629 = stablehlo.constant dense<-1.45315206> : tensor<2x1x48xf32>
    %b4_add_630 = stablehlo.add %b4_multiply_628, %b4_constant_629 : tensor<2x1x48xf32>
    %b4_multiply_631 = stablehlo.multiply %b4_add_630, %b4_divide_626 : tensor<2x1x48xf32>
    %b4_constant_632 = stablehlo.constant dense<1.42141378> : tensor<2x1x48xf32>
    %b4_add_633 = stablehlo.add %b4_multiply_631, %b4_constant_632 : tensor<2x1x48xf32>
    %b4_multiply_634 = stablehlo.multiply %b4_add_633, %b4_divide_626 : tensor<2x1x48xf32>
    %b4_constant_635 = stablehlo.constant dense<-0.284496725> : tensor<2x1x48xf32>
    %b4_add_636 = stablehlo.add %b4_multiply_634, %b4_constant_635 : tensor<2x1x48xf32>
    %b4_multiply_637 = stablehlo.multiply %b4_add_636, %b4_divide_626 : tensor<2x1x48xf32>
    %b4_constant_638 = stablehlo.constant dense<0.254829586> : tensor<2x1x48xf32>
    %b4_add_639 = stablehlo.add %b4_multiply_637, %b4_constant_638 : tensor<2x1x48xf32>
    %b4_multiply_640 = stablehlo.multiply %b4_add_639, %b4_divide_626 : tensor<2x1x48xf32>
    %b4_multiply_641 = stablehlo.multiply %b4_abs_621, %b4_abs_621 : tensor<2x1x48xf32>
    %b4_negate_642 = stablehlo.negate %b4_multiply_641 : tensor<2x1x48xf32>
    %b4_exponential_643 = stablehlo.exponential %b4_negate_642 : tensor<2x1x48xf32>
    %b4_multiply_644 = stablehlo.multiply %b4_multiply_640, %b4_exponential_643 : tensor<2x1x48xf32>
    %b4_subtract_645 = stablehlo.subtract %b4_constant_622, %b4_multiply_644 : tensor<2x1x48xf32>
    %b4_sign_646 = stablehlo.sign %b4_multiply_620 : tensor<2x1x48xf32>
    %b4_multiply_647 = stablehlo.multiply %b4_sign_646, %b4_subtract_645 : tensor<2x1x48xf32>
    %b4_constant_648 = stablehlo.constant dense<1.0> : tensor<2x1x48xf32>
    %b4_add_649 = stablehlo.add %b4_multiply_647, %b4_constant_648 : tensor<2x1x48xf32>
    %b4_constant_650 = stablehlo.constant dense<0.5> : tensor<2x1x48xf32>
    %b4_multiply_651 = stablehlo.multiply %b4_dot_618, %b4_constant_650 : tensor<2x1x48xf32>
    %b4_multiply_652 = stablehlo.multiply %b4_multiply_651, %b4_add_649 : tensor<2x1x48xf32>
    %b4_multiply_653 = stablehlo.multiply %b4_multiply_652, %b4_dot_617 : tensor<2x1x48xf32>
    %b4_dot_654 = stablehlo.dot_general %b4_multiply_653, %block_4_down_weight, contracting_dims = [2] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x1x48xf32>, tensor<32x48xf32>) -> tensor<2x1x32xf32>
    %b4_add_655 = stablehlo.add %b4_add_598, %b4_dot_654 : tensor<2x1x32xf32>

    // head
    %head_constant_656 = stablehlo.constant dense<0.0> : tensor<f32>
    %head_reduce_657 = stablehlo.reduce(%b4_add_655 init: %head_constant_656) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %head_constant_658 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %head_multiply_659 = stablehlo.multiply %head_reduce_657, %head_constant_658 : tensor<2x1xf32>
    %head_broadcast_660 = stablehlo.broadcast_in_dim %head_multiply_659, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %head_subtract_661 = stablehlo.subtract %b4_add_655, %head_broadcast_660 : tensor<2x1x32xf32>
    %head_multiply_662 = stablehlo.multiply %head_subtract_661, %head_subtract_661 : tensor<2x1x32xf32>
    %head_constant_663 = stablehlo.constant dense<0.0> : tensor<f32>
    %head_reduce_664 = stablehlo.reduce(%head_multiply_662 init: %head_constant_663) applies stablehlo.add across dimensions = [2] : (tensor<2x1x32xf32>, tensor<f32>) -> tensor<2x1xf32>
    %head_constant_665 = stablehlo.constant dense<0.03125> : tensor<2x1xf32>
    %head_multiply_666 = stablehlo.multiply %head_reduce_664, %head_constant_665 : tensor<2x1xf32>
    %head_constant_667 = stablehlo.constant dense<9.99999975e-06> : tensor<2x1xf32>
    %head_add_668 = stablehlo.add %head_multiply_666, %head_constant_667 : tensor<2x1xf32>
    %head_rsqrt_669 = stablehlo.rsqrt %head_add_668 : tensor<2x1xf32>
    %head_broadcast_670 = stablehlo.broadcast_in_dim %head_rsqrt_669, dims = [0, 1] : (tensor<2x1xf32>) -> tensor<2x1x32xf32>
    %head_multiply_671 = stablehlo.multiply %head_subtract_661, %head_broadcast_670 : tensor<2x1x32xf32>
    %head_broadcast_672 = stablehlo.broadcast_in_dim %final_norm_gamma, dims = [2] : (tensor<32xf32>) -> tensor<2x1x32xf32>
    %head_multiply_673 = stablehlo.multiply %head_multiply_671, %head_broadcast_672 : tensor<2x1x32xf32>
    %head_reshape_674 = stablehlo.reshape %head_multiply_673 : (tensor<2x1x32xf32>) -> tensor<2x32xf32>
    %head_dot_675 = stablehlo.dot_general %head_reshape_674, %head_dense_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<32x32xf32>) -> tensor<2x32xf32>
    %head_constant_676 = stablehlo.constant dense<0.707106769> : tensor<2x32xf32>
    %head_multiply_677 = stablehlo.multiply %head_dot_675, %head_constant_676 : tensor<2x32xf32>
    %head_abs_678 = stablehlo.abs %head_multiply_677 : tensor<2x32xf32>
    %head_constant_679 = stablehlo.constant dense<1.0> : tensor<2x32xf32>
    %head_constant_680 = stablehlo.constant dense<0.327591091> : tensor<2x32xf32>
    %head_multiply_681 = stablehlo.multiply %head_abs_678, %head_constant_680 : tensor<2x32xf32>
    %head_add_682 = stablehlo.add %head_constant_679, %head_multiply_681 : tensor<2x32xf32>
    %head_divide_683 = stablehlo.divide %head_constant_679, %head_add_682 : tensor<2x32xf32>
    %head_constant_684 = stablehlo.constant dense<1.06140542> : tensor<2x32xf32>
    %head_multiply_685 = stablehlo.multiply %head_divide_683, %head_constant_684 : tensor<2x32xf32>
    %head_constant_686 = stablehlo.constant dense<-1.45315206> : tensor<2x32xf32>
    %head_add_687 = stablehlo.add %head_multiply_685, %head_constant_686 : tensor<2x32xf32>
    %head_multiply_688 = stablehlo.multiply %head_add_687, %head_divide_683 : tensor<2x32xf32>
    %head_constant_689 = stablehlo.constant dense<1.42141378> : tensor<2x32xf32>
    %head_add_690 = stablehlo.add %head_multiply_688, %head_constant_689 : tensor<2x32xf32>
    %head_multiply_691 = stablehlo.multiply %head_add_690, %head_divide_683 : tensor<2x32xf32>
    %head_constant_692 = stablehlo.constant dense<-0.284496725> : tensor<2x32xf32>
    %head_add_693 = stablehlo.add %head_multiply_691, %head_constant_692 : tensor<2x32xf32>
    %head_multiply_694 = stablehlo.multiply %head_add_693, %head_divide_683 : tensor<2x32xf32>
    %head_constant_695 = stablehlo.constant dense<0.254829586> : tensor<2x32xf32>
    %head_add_696 = stablehlo.add %head_multiply_694, %head_constant_695 : tensor<2x32xf32>
    %head_multiply_697 = stablehlo.multiply %head_add_696, %head_divide_683 : tensor<2x32xf32>
    %head_multiply_698 = stablehlo.multiply %head_abs_678, %head_abs_678 : tensor<2x32xf32>
    %head_negate_699 = stablehlo.negate %head_multiply_698 : tensor<2x32xf32>
    %head_exponential_700 = stablehlo.exponential %head_negate_699 : tensor<2x32xf32>
    %head_multiply_701 = stablehlo.multiply %head_multiply_697, %head_exponential_700 : tensor<2x32xf32>
    %head_subtract_702 = stablehlo.subtract %head_constant_679, %head_multiply_701 : tensor<2x32xf32>
    %head_sign_703 = stablehlo.sign %head_multiply_677 : tensor<2x32xf32>
    %head_multiply_704 = stablehlo.multiply %head_sign_703, %head_subtract_702 : tensor<2x32xf32>
    %head_constant_705 = stablehlo.constant dense<1.0> : tensor<2x32xf32>
    %head_add_706 = stablehlo.add %head_multiply_704, %head_constant_705 : tensor<2x32xf32>
    %head_constant_707 = stablehlo.constant dense<0.5> : tensor<2x32xf32>
    %head_multiply_708 = stablehlo.multiply %head_dot_675, %head_constant_707 : tensor<2x32xf32>
    %head_multiply_709 = stablehlo.multiply %head_multiply_708, %head_add_706 : tensor<2x32xf32>
    %head_constant_710 = stablehlo.constant dense<0.0> : tensor<f32>
    %head_reduce_711 = stablehlo.reduce(%head_multiply_709 init: %head_constant_710) applies stablehlo.add across dimensions = [1] : (tensor<2x32xf32>, tensor<f32>) -> tensor<2xf32>
    %head_constant_712 = stablehlo.constant dense<0.03125> : tensor<2xf32>
    %head_multiply_713 = stablehlo.multiply %head_reduce_711, %head_constant_712 : tensor<2xf32>
    %head_broadcast_714 = stablehlo.broadcast_in_dim %head_multiply_713, dims = [0] : (tensor<2xf32>) -> tensor<2x32xf32>
    %head_subtract_715 = stablehlo.subtract %head_multiply_709, %head_broadcast_714 : tensor<2x32xf32>
    %head_multiply_716 = stablehlo.multiply %head_subtract_715, %head_subtract_715 : tensor<2x32xf32>
    %head_constant_717 = stablehlo.constant dense<0.0> : tensor<f32>
    %head_reduce_718 = stablehlo.reduce(%head_multiply_716 init: %head_constant_717) applies stablehlo.add across dimensions = [1] : (tensor<2x32xf32>, tensor<f32>) -> tensor<2xf32>
    %head_constant_719 = stablehlo.constant dense<0.03125> : tensor<2xf32>
    %head_multiply_720 = stablehlo.multiply %head_reduce_718, %head_constant_719 : tensor<2xf32>
    %head_constant_721 = stablehlo.constant dense<9.99999975e-06> : tensor<2xf32>
    %head_add_722 = stablehlo.add %head_multiply_720, %head_constant_721 : tensor<2xf32>
    %head_rsqrt_723 = stablehlo.rsqrt %head_add_722 : tensor<2xf32>
    %head_broadcast_724 = stablehlo.broadcast_in_dim %head_rsqrt_723, dims = [0] : (tensor<2xf32>) -> tensor<2x32xf32>
    %head_multiply_725 = stablehlo.multiply %head_subtract_715, %head_broadcast_724 : tensor<2x32xf32>
    %head_broadcast_726 = stablehlo.broadcast_in_dim %head_norm_gamma, dims = [1] : (tensor<32xf32>) -> tensor<2x32xf32>
    %head_multiply_727 = stablehlo.multiply %head_multiply_725, %head_broadcast_726 : tensor<2x32xf32>
    %head_dot_728 = stablehlo.dot_general %head_multiply_727, %head_output_weight, contracting_dims = [1] x [1], precision = [HIGHEST, HIGHEST] : (tensor<2x32xf32>, tensor<1x32xf32>) -> tensor<2x1xf32>
    %head_broadcast_729 = stablehlo.broadcast_in_dim %head_output_bias, dims = [1] : (tensor<1xf32>) -> tensor<2x1xf32>
    %head_add_730 = stablehlo.add %head_dot_728, %head_broadcast_729 : tensor<2x1xf32>
    %head_reshape_731 = stablehlo.reshape %head_add_730 : (tensor<2x1xf32>) -> tensor<2xf32>
    return %head_reshape_731 : tensor<2xf32>
  }
}
